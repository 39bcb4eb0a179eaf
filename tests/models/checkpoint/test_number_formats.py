"""Narrow number formats: where they would overflow, the networks work in float32 instead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.attention import Attention
from models.bundle import Bundle
from models.calls import Decode, EncodeImage
from models.checkpoint import weights
from models.checkpoint.loading import load
from models.config import UNetConfig
from models.unet import UNet
from tests.models.checkpoint.conftest import Written, family

LATENTS = torch.ones(1, 4, 8, 8)
LARGEST = 65_504  # in float16


@pytest.fixture(scope="module")
def half(written: Written) -> Bundle:
    return load(written(family("sd2-v"), "file"), dtype=torch.float16)


@pytest.mark.parametrize("threads", [1, 3])
def test_weights_are_the_same_however_little_is_read_at_a_time_and_by_how_many(
    half: Bundle, written: Written, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part may be less than one output channel of a convolution."""
    monkeypatch.setattr(weights, "PART", 2**10)
    monkeypatch.setattr(weights, "_threads", lambda: threads)
    other = load(written(family("sd2-v"), "file"), dtype=torch.float16).unet.state_dict()
    assert all(torch.equal(tensor, other[name]) for name, tensor in half.unet.state_dict().items())


def test_attention_with_scores_beyond_float16_is_computed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []
    attend: Any = F.scaled_dot_product_attention

    def watched(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen.append(q.dtype)
        assert float((q.float() @ k.float().transpose(-1, -2)).max()) > LARGEST
        attended: Tensor = attend(q, k, v)
        return attended

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    attention = Attention(64, heads=1, upcast=True).half().requires_grad_(False)
    for project in (attention.to_q, attention.to_k):
        nn.init.eye_(project.weight).mul_(50)
    tokens = torch.full((1, 4, 64), 2.0, dtype=torch.float16)
    attended = attention(tokens, torch.zeros_like(tokens))
    assert seen == [torch.float32]
    assert attended.dtype is torch.float16
    assert bool(attended.isfinite().all())


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({}, False),  # Stable Diffusion 1
        ({"use_linear_projection": True}, True),  # 2, whose first files did not say it
        ({"use_linear_projection": True, "upcast_attention": False}, False),
        ({"upcast_attention": True}, True),
    ],
)
def test_the_checkpoint_says_whether_its_attention_needs_that(config: dict[str, Any], wanted: bool) -> None:
    with torch.device("meta"):
        unet = UNet(UNetConfig.from_dict(config))
    assert {part.upcast for part in unet.modules() if isinstance(part, Attention)} == {wanted}


def overflowing(bundle: Bundle) -> Bundle:
    """The same with a VAE whose states exceed float16 on their way, though nothing else does."""
    config = bundle.vae.config
    with torch.device("meta"):
        vae = type(bundle.vae)(config)
    vae.load_state_dict({key: tensor.clone() for key, tensor in bundle.vae.state_dict().items()}, assign=True)
    for half in (vae.encoder, vae.decoder):
        half.conv_in.weight.requires_grad_(False).fill_(30_000)
    return replace(bundle, vae=vae.requires_grad_(False))


def test_a_picture_that_overflows_is_decoded_and_encoded_in_float32(half: Bundle, written: Written) -> None:
    narrow = overflowing(half)
    before = narrow.bytes
    wide = overflowing(load(written(family("sd2-v"), "file")))
    for call in (Decode(LATENTS), EncodeImage(torch.ones(1, 3, 32, 32))):
        assert not bool(_alone(narrow, call).isfinite().all())
        found, wanted = narrow.answer([call])[0], wide.answer([call])[0]
        assert bool(found.isfinite().all())
        assert float((found - wanted).norm() / wanted.norm()) < 0.01  # the weights were rounded to 11 bits
    assert narrow.bytes >= before + sum(4 * weight.numel() for weight in narrow.vae.parameters())


def _alone(bundle: Bundle, call: Decode | EncodeImage) -> Tensor:
    with torch.inference_mode():
        if isinstance(call, Decode):
            return bundle.vae.decode(call.latents.half())
        return bundle.vae.encode(call.pixels.half())[0]


def test_latents_that_are_no_numbers_are_not_asked_for_twice(half: Bundle) -> None:
    (found,) = half.answer([Decode(torch.full((1, 4, 4, 4), torch.nan))])
    assert bool(found.isnan().all())
    assert "_wide_vae" not in vars(half)
