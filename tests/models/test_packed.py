"""Weights in oneDNN's order: the same bits, and never those of weights that have changed."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models import packed
from models.convolution import Conv1x1, Conv3x3, Convolution
from models.linear import Linear, stacked
from models.packed import Kept

CHANNELS, OUTPUTS = 48, 32


@pytest.fixture(params=[1, 3])
def maps(request: pytest.FixtureRequest) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(request.param, CHANNELS, 12, 10).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("stride", [1, 2])
@torch.no_grad()
def test_convolutions_of_small_weights_are_torchs_to_rounding_and_alone_to_the_bit(maps: Tensor, stride: int) -> None:
    layer = Convolution(CHANNELS, OUTPUTS, 3, stride=stride, padding=1)
    found = layer(maps)
    assert torch.equal(torch.cat([layer(alone) for alone in torch.split(maps, 1)]), found)
    torch.testing.assert_close(found, F.conv2d(maps, layer.weight, layer.bias, stride=stride, padding=1))


@pytest.mark.parametrize(("channels", "outputs", "side"), [(96, 128, 8), (128, 128, 8), (160, 160, 16)])
@pytest.mark.parametrize("threads", [1, 2])
@torch.no_grad()
def test_a_map_alone_has_the_bits_that_it_has_among_others(
    channels: int, outputs: int, side: int, threads: int
) -> None:
    """Of these sizes oneDNN has another order for one map on AVX2."""
    torch.manual_seed(1)
    layer = Conv3x3(channels, outputs)
    x = torch.randn(4, channels, side, side).contiguous(memory_format=torch.channels_last)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = [layer(x[:count])[0] for count in (1, 2, 4)]
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("is_other", [False, True])
@torch.no_grad()
def test_a_map_alone_has_weights_of_its_own_only_where_their_order_is_another(
    is_other: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Tensor] = []

    def order(made: Tensor) -> int:
        asked.append(made)
        return len(asked) * is_other

    monkeypatch.setattr(packed, "_order", order)
    weight = torch.randn(8, 16, 3, 3)

    several, alone, again = (
        packed.for_convolution(weight, (8, 8), stride=1, padding=1, rows=rows) for rows in (5, 1, 1)
    )

    assert (alone is not several) == is_other
    assert again is alone
    assert len(asked) == 2
    assert packed.kept.bytes_of(weight) == (1 + is_other) * weight.nbytes


@torch.no_grad()
def test_what_is_added_to_a_convolution_is_added(maps: Tensor) -> None:
    layer, shift = Conv3x3(CHANNELS, OUTPUTS), torch.randn(len(maps), OUTPUTS)
    alone, plus = layer(maps).clone(), torch.randn(len(maps), OUTPUTS, 12, 10)
    assert torch.equal(layer(maps, shift, plus), alone + shift[:, :, None, None] + plus)


@torch.no_grad()
def test_linear_layers_of_small_weights_have_the_bits_of_large_ones(
    maps: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, tokens = Linear(CHANNELS, OUTPUTS), maps.flatten(2).transpose(1, 2).contiguous()
    found = layer(tokens)
    monkeypatch.setattr(packed, "MOST_WEIGHTS", 0)
    assert torch.equal(found, layer(tokens))


@torch.no_grad()
def test_changed_weights_are_used_as_they_are_now(maps: Tensor) -> None:
    tokens = maps.flatten(2).transpose(1, 2).contiguous()
    for layer, x in ((Conv3x3(CHANNELS, OUTPUTS), maps), (Conv1x1(CHANNELS, OUTPUTS), maps), (Linear(48, 32), tokens)):
        before = layer(x).clone()
        layer.weight.mul_(2)
        layer.bias.mul_(2)  # type: ignore[union-attr]
        torch.testing.assert_close(layer(x), 2 * before)
        layer.weight.data = torch.zeros_like(layer.weight)
        layer.bias.data = torch.zeros(OUTPUTS)  # type: ignore[union-attr]
        assert not layer(x).any()


@torch.no_grad()
def test_stacked_weights_follow_each_of_theirs() -> None:
    weights, x = [torch.randn(8, 8) for _ in range(3)], torch.randn(2, 5, 8)
    assert torch.equal(first := _stacked(x, weights), torch.cat(weights))
    assert _stacked(x, weights) is first
    weights[2].zero_()
    assert torch.equal(_stacked(x, weights), torch.cat(weights))
    assert stacked(x, [torch.zeros(8, 8), torch.zeros(16, 8)]) is None


def test_gradients_reach_weights_that_were_kept(maps: Tensor) -> None:
    layer = Conv1x1(CHANNELS, OUTPUTS)
    with torch.no_grad():
        layer(maps)
    layer(maps).square().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.any()


def test_it_forgets_what_nobody_holds_and_the_oldest_of_too_many() -> None:
    kept, tensor, made = Kept(), torch.zeros(3), list[int]()
    for key in (*range(packed.MOST_MADE + 1), 0):
        kept(tensor, key, lambda key=key: made.append(key))  # type: ignore[misc]
    assert made == [*range(packed.MOST_MADE + 1), 0]
    del tensor
    gc.collect()
    assert not kept._found


def _stacked(x: Tensor, weights: list[Tensor]) -> Tensor:
    found = stacked(x, weights)
    assert found is not None
    return found
