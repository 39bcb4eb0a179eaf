"""Layers in bfloat16 on a processor without arithmetic for it, which compute by way of float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import models
from models import convolution
from models import linear as linear_module
from models.attention import FeedForward
from models.calls import Encode
from models.checkpoint import towers
from models.checkpoint.loading import load
from models.convolution import Conv1x1, Conv3x3, Convolution
from models.linear import Linear, adopt, is_widened, wide
from tests.reference.oracle import relative_error

EMBEDDED = Path(models.__file__).parent / "embedded"
PROMPT = "snowy mountains at sunset with a cabin on the left"
ORIGINAL = F.linear
ROUNDING = 5e-3  # relative L2; bfloat16 has 8 bits


@pytest.fixture(autouse=True)
def _no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A processor that has no bfloat16, and torch refusing to be asked for it."""
    monkeypatch.setattr(linear_module, "_knows", lambda dtype: dtype is torch.float32)
    for name in ("linear", "conv2d"):
        monkeypatch.setattr(F, name, _float32_alone(getattr(F, name)))
    with torch.no_grad():
        yield


def _float32_alone(ask: Any) -> Any:
    def asked(x: Tensor, *others: Any) -> Tensor:
        assert x.dtype is torch.float32
        found: Tensor = ask(x, *others)
        return found

    return asked


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: Linear(24, 40), (2, 7, 24)),
    "linear without bias": (lambda: Linear(24, 40, bias=False), (2, 7, 24)),
    "1x1": (lambda: Conv1x1(24, 8), (2, 24, 6, 4)),
    "3x3": (lambda: Conv3x3(24, 8), (2, 24, 6, 4)),
    "stride 2": (lambda: Convolution(24, 8, 3, stride=2, padding=1), (2, 24, 6, 4)),
    "3x3 by Winograd": (lambda: Conv3x3(128, 128), (2, 128, 12, 16)),
    "3x3 by neighbourhoods": (lambda: Conv3x3(128, 128), (2, 128, 8, 8)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_layer_answers_in_its_number_format(
    name: str, memory_format: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "LEAST_WORK", 1)
    monkeypatch.setattr(convolution, "GATHERED_CHANNELS", 128)
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer, x = make().bfloat16(), torch.randn(shape).bfloat16()
    if x.dim() == 4:
        x = x.contiguous(memory_format=memory_format)
        layer.to(memory_format=memory_format)  # type: ignore[call-overload]

    found = layer(x)

    assert found.dtype is torch.bfloat16
    assert relative_error(found.float(), layer.float()(x.float())) <= ROUNDING


@pytest.mark.parametrize("channels", [24, 128])
def test_an_enlarged_picture_too(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "LEAST_WORK", 1)
    torch.manual_seed(0)
    layer, x = Conv3x3(channels, channels).bfloat16(), torch.randn(2, channels, 8, 8).bfloat16()

    found = layer.doubled(x)

    assert found.dtype is torch.bfloat16
    assert relative_error(found.float(), layer.float().doubled(x.float())) <= ROUNDING


def test_a_gated_layer_adds_and_multiplies_what_it_should() -> None:
    torch.manual_seed(0)
    layer, x, plus = FeedForward(16).bfloat16(), torch.randn(2, 5, 16).bfloat16(), torch.randn(2, 5, 16).bfloat16()

    found = layer(x, plus)

    assert found.dtype is torch.bfloat16
    assert relative_error(found.float(), layer.float()(x.float(), plus.float())) <= ROUNDING


@pytest.mark.parametrize("weight", [torch.randn(6, 4), torch.randn(6, 4).T, torch.randn(6, 4, 3, 3)[1:5]])
def test_a_weight_keeps_its_values_and_its_order_of_memory(weight: Tensor) -> None:
    narrow = weight.bfloat16()
    assert torch.equal(wide(narrow), narrow.float())
    assert wide(narrow).is_contiguous() or narrow.dim() == 4


def test_memory_made_in_inference_is_written_to_afterwards() -> None:
    linear_module._scratch.room = None
    with torch.inference_mode():
        wide(torch.ones(3, 3, dtype=torch.bfloat16))
    assert torch.equal(wide(torch.ones(2, 2, dtype=torch.bfloat16)), torch.ones(2, 2))


def test_what_asks_for_gradients_is_left_to_torch() -> None:
    x, weight = torch.randn(2, 4).bfloat16(), torch.randn(4, 4).bfloat16()
    assert is_widened(x, weight)
    assert not is_widened(x.float(), weight)
    with torch.enable_grad():
        assert not is_widened(x, weight)


def test_the_text_encoder_of_a_checkpoint_too(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = load(EMBEDDED).answer([Encode(PROMPT, 1)])[0]
    monkeypatch.setattr(towers, "has_bfloat16", lambda _: False)

    found = load(EMBEDDED, dtype=torch.bfloat16).answer([Encode(PROMPT, 1)])[0]

    assert relative_error(found, wanted) <= 4 * ROUNDING


def test_open_clips_attention_too() -> None:
    torch.manual_seed(0)
    config = {"vocab_size": 40, "max_position_embeddings": 9, "hidden_size": 32, "intermediate_size": 64}
    model = towers._open_clip(config | {"num_attention_heads": 4, "num_hidden_layers": 2})
    ids = torch.arange(18).reshape(2, 9)
    with pytest.MonkeyPatch.context() as before:
        before.setattr(F, "linear", ORIGINAL)
        wanted = towers.OpenClipTower(model, cast(Any, None)).states(ids)
    model = towers._with_mask(model.bfloat16(), torch.device("cpu"), torch.bfloat16)

    adopt(model)
    found = towers.OpenClipTower(model, cast(Any, None)).states(ids)

    assert found.dtype is torch.bfloat16
    assert relative_error(found.float(), wanted) <= 2 * ROUNDING
