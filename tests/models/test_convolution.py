"""Our ways to convolve against torch's own, and the choice among them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models import convolution, winograd
from models import norm as norm_of
from models.convolution import Conv1x1, Conv3x3
from models.linear import is_plain
from tests.reference.oracle import relative_error

ROUNDING = 2e-6  # relative L2, float32; adding up directly is 3e-7 from the truth, Winograd's transforms 1.2e-6


def wanted(x: Tensor, layer: Conv3x3, *, double: bool = False) -> Tensor:
    """In float64, by torch's own convolution."""
    enlarged = F.interpolate(x.double(), scale_factor=2, mode="nearest") if double else x.double()
    mode = "circular" if layer.padding_mode == "circular" else "constant"
    return F.conv2d(F.pad(enlarged, (1, 1, 1, 1), mode), layer.weight.double(), layer.bias.double())


def layer_of(channels: int, outputs: int, *, edges: str = "zeros") -> Conv3x3:
    torch.manual_seed(1)
    layer = Conv3x3(channels, outputs).requires_grad_(False)
    setattr(layer, "padding_mode", edges)  # noqa: B010  # as `wrapped` does
    return layer


@pytest.mark.parametrize("edges", ["zeros", "circular"])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("shape", [(2, 8, 16, 12), (3, 5, 7, 9), (1, 4, 1, 3)])
@torch.no_grad()
def test_winograd_convolves_all_sizes_and_edges(shape: tuple[int, ...], double: bool, edges: str) -> None:
    layer, x = layer_of(shape[1], 6, edges=edges), torch.randn(shape)
    found = winograd.convolve(x, layer.weight, layer.bias, edges=edges, double=double)
    assert relative_error(found, wanted(x, layer, double=double)) <= ROUNDING


@pytest.mark.parametrize("kept", [0, winograd.KEPT_TAPS])
@torch.no_grad()
def test_winograd_does_not_depend_on_its_blocks(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    layer, x = layer_of(128, 130), torch.randn(3, 128, 24, 20)
    whole = winograd.convolve(x, layer.weight, layer.bias)
    for name, value in (("BLOCK", 36 * 128), ("LEAST_TILES", 7), ("KEPT_TAPS", kept)):
        monkeypatch.setattr(winograd, name, value)
    assert relative_error(winograd.convolve(x, layer.weight, layer.bias), whole) <= ROUNDING


@pytest.fixture
def small_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let layers of 128 channels go the ways that pay only from more channels on."""
    monkeypatch.setattr(convolution, "LEAST_WORK", 1)
    monkeypatch.setattr(convolution, "GATHERED_CHANNELS", 128)


@pytest.mark.parametrize("side", [8, 16, 18])
@pytest.mark.parametrize("edges", ["zeros", "circular"])
@pytest.mark.usefixtures("small_work")
@torch.no_grad()
def test_each_way_is_torchs_convolution_with_a_shift(side: int, edges: str) -> None:
    layer, x, shift = layer_of(128, 136, edges=edges), torch.randn(2, 128, side, side), torch.randn(2, 136)
    assert relative_error(layer(x, shift), wanted(x, layer) + shift[:, :, None, None]) <= ROUNDING
    assert relative_error(layer.doubled(x), wanted(x, layer, double=True)) <= ROUNDING


@pytest.mark.parametrize("edges", ["zeros", "circular"])
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, ROUNDING), (torch.bfloat16, 3e-3)])
@pytest.mark.parametrize("shape", [(2, 8, 4, 6), (3, 5, 1, 3)])
@torch.no_grad()
def test_an_enlarged_picture_is_convolved_in_quarters(
    shape: tuple[int, ...], dtype: torch.dtype, rounding: float, edges: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, x = layer_of(shape[1], 6, edges=edges).to(dtype), torch.randn(shape).to(dtype)
    if not is_plain(x, layer.weight):
        pytest.skip("torch knows no bfloat16 on this processor")
    truth = wanted(x, layer, double=True)
    monkeypatch.setattr(F, "interpolate", None)  # nothing is enlarged
    assert relative_error(layer.doubled(x).double(), truth) <= rounding
    layer.weight.neg_()
    layer.bias.neg_()
    assert relative_error(layer.doubled(x).double(), -truth) <= rounding  # what was kept follows the weights


@pytest.mark.parametrize("side", [8, 16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.usefixtures("small_work")
@torch.no_grad()
def test_no_pictures_bits_depend_on_its_company(side: int, dtype: torch.dtype) -> None:
    layer = layer_of(128, 128).to(dtype)
    x, shift = torch.randn(7, 128, side, side).to(dtype), torch.randn(7, 128).to(dtype)
    together, doubled = layer(x, shift), layer.doubled(x)
    for i in range(len(x)):
        assert torch.equal(layer(x[i : i + 1], shift[i : i + 1])[0], together[i])
        assert torch.equal(layer.doubled(x[i : i + 1])[0], doubled[i])


@pytest.mark.parametrize(("channels", "side"), [(64, 8), (192, 4), (128, 8), (32, 16)])
@pytest.mark.parametrize("threads", [1, 2])
@torch.no_grad()
def test_no_small_layers_bits_depend_on_how_many_pictures_are_enlarged(channels: int, side: int, threads: int) -> None:
    layer, x = layer_of(channels, channels), torch.randn(5, channels, side, side)
    x = x.contiguous(memory_format=torch.channels_last)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = [layer.doubled(x[:count])[0] for count in range(1, 6)]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(each, found[0]) for each in found)


def test_only_what_asks_for_no_gradient_is_convolved_our_way(monkeypatch: pytest.MonkeyPatch) -> None:
    ways: list[str] = []
    monkeypatch.setattr(winograd, "convolve", lambda *_, **__: ways.append("winograd"))
    monkeypatch.setattr(convolution, "_gathered", lambda *_, **__: ways.append("gathered"))
    layer = layer_of(128, 128)
    layer(torch.randn(1, 128, 16, 16))
    with torch.no_grad():
        layer.to(torch.bfloat16)(torch.randn(1, 128, 16, 16, dtype=torch.bfloat16))
        layer.doubled(torch.randn(1, 128, 16, 16, dtype=torch.bfloat16))
        layer_of(64, 1024)(torch.randn(1, 64, 64, 64))
        assert ways == []
        layer.float()
        layer(torch.randn(1, 128, 16, 16))
        layer_of(512, 512)(torch.randn(1, 512, 16, 16))
        layer_of(512, 512)(torch.randn(1, 512, 8, 8))
    assert ways == ["winograd", "gathered"]


@torch.no_grad()
def test_a_convolution_of_single_pixels_adds_what_it_is_told() -> None:
    layer, x, plus = Conv1x1(6, 4), torch.randn(2, 6, 5, 3), torch.randn(2, 4, 5, 3)
    found = F.conv2d(x, layer.weight, layer.bias)
    assert relative_error(layer(x), found) <= ROUNDING
    assert relative_error(layer(x, plus), found + plus) <= ROUNDING


@torch.no_grad()
def test_the_points_are_closer_than_the_usual_ones() -> None:
    layer, x = layer_of(320, 64), F.silu(torch.randn(1, 320, 16, 16))
    layer.weight.mul_(math.sqrt(3))
    assert relative_error(winograd.convolve(x, layer.weight, layer.bias), wanted(x, layer)) < 1.5e-6


@pytest.mark.usefixtures("small_work")
@pytest.mark.parametrize("pictures", [1, 2])
@torch.no_grad()
def test_norm_and_silu_before_a_convolution_are_equal_to_the_bit_without_memory_of_their_own(
    monkeypatch: pytest.MonkeyPatch, pictures: int
) -> None:
    monkeypatch.setattr(norm_of, "LARGE", 1)
    layer, norm = layer_of(128, 128), norm_of.GroupNorm(8, 128)
    x = torch.randn(pictures, 128, 18, 14).contiguous(memory_format=torch.channels_last)
    kept, shift = x.clone(), torch.randn(pictures, 128)
    assert torch.equal(layer.bent(norm, x, shift, plus=x), layer(F.silu(norm(x)), shift) + x)
    assert torch.equal(x, kept)


def test_what_is_made_of_a_large_map_is_made_strip_by_strip() -> None:
    x, weight, bias = torch.randn(1, 128, 192, 192), torch.randn(8, 128, 3, 3), torch.randn(8)
    asked = list[tuple[int, int]]()

    def fill(pictures: slice, rows: slice, place: Tensor) -> None:
        asked.append((rows.start, rows.stop))
        place.copy_(2 * x[pictures, :, rows])

    found = winograd.convolve(x, weight, bias, fill=fill)
    assert torch.equal(found, winograd.convolve(2 * x, weight, bias))
    assert max(stop - start for start, stop in asked) < 100
    assert {row for start, stop in asked for row in range(start, stop)} == set(range(192))
