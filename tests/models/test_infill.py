"""What stands where there are no pixels yet."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.edit import Infill
from models.infill import infill, spread

HEIGHT, WIDTH = 24, 37


@pytest.fixture
def picture() -> Tensor:
    return torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1)) * 2 - 1


def known_left_of(column: int) -> Tensor:
    known = torch.zeros(1, 1, HEIGHT, WIDTH, dtype=torch.bool)
    known[:, :, :, :column] = True
    return known


@pytest.mark.parametrize("method", list(Infill))
def test_known_pixels_stay_and_unknown_ones_do_not_matter(picture: Tensor, method: Infill) -> None:
    known = known_left_of(20)
    known[:, :, 5:9, 3:8] = False
    filled = infill(picture, known, method, 1)
    assert torch.equal(filled.masked_select(known), picture.masked_select(known))
    assert filled.abs().max() <= 1
    assert torch.equal(filled, infill(torch.where(known, picture, -7.0), known, method, 1))


@pytest.mark.parametrize("method", list(Infill))
def test_a_whole_picture_is_left_alone_and_nothing_becomes_grey(picture: Tensor, method: Infill) -> None:
    assert torch.equal(infill(picture, known_left_of(WIDTH), method, 1), picture)
    assert torch.equal(infill(picture, known_left_of(0), method, 1), torch.zeros_like(picture))


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("method", [Infill.BLUR, Infill.MIRROR, Infill.COLOUR])
def test_no_side_is_treated_otherwise(method: Infill, turns: int) -> None:
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    known = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    known[:, :, 4:28, 6:24] = True
    turned = infill(picture.rot90(turns, (2, 3)), known.rot90(turns, (2, 3)), method, 1)
    straight = infill(picture, known, method, 1)
    if method is Infill.MIRROR:  # of two edges that are equally near, another may be taken
        torch.testing.assert_close(turned.mean((2, 3)), straight.mean((2, 3)), atol=0.02, rtol=0)
    else:
        torch.testing.assert_close(turned.rot90(-turns, (2, 3)), straight, atol=1e-5, rtol=0)


def test_blur_goes_on_where_the_known_pixels_end() -> None:
    picture = torch.linspace(-1, 1, HEIGHT)[None, None, :, None].expand(1, 3, HEIGHT, WIDTH).clone()
    filled = infill(picture, known_left_of(20), Infill.BLUR, 1)
    step = (filled[..., 20] - picture[..., 19])[..., 3:-3]  # it gives way towards the corners
    assert step.abs().max() < 0.12
    assert (filled[..., -1].diff(dim=2) > 0).all()  # the sky stays above the ground, far out too


def test_the_edge_carries_each_height_on_to_the_sides() -> None:
    picture = torch.linspace(-1, 1, HEIGHT)[None, None, :, None].expand(1, 3, HEIGHT, WIDTH).clone()
    filled = infill(picture, known_left_of(20), Infill.EDGE, 1)
    assert (filled[..., 20] - picture[..., 19])[..., 5:-5].abs().max() < 0.03
    assert (filled[..., -1].diff(dim=2) > 0).all()


@pytest.mark.parametrize("turns", [0, 2])
def test_the_edge_carries_a_plain_strip_on_whatever_stands_behind_it(turns: int) -> None:
    picture = torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    picture[:, :, 40:56] = 0.3
    known = torch.zeros(1, 1, 96, 64, dtype=torch.bool)
    known[:, :, :56, 16:] = True
    filled = infill(picture.rot90(turns, (2, 3)), known.rot90(turns, (2, 3)), Infill.EDGE, 1).rot90(turns, (2, 3))
    torch.testing.assert_close(filled[:, :, 56:], torch.full((1, 3, 40, 64), 0.3))
    blurred = infill(picture, known, Infill.BLUR, 1)
    assert (blurred[:, :, 80:] - 0.3).abs().mean() > 0.05


def test_mirror_repeats_the_picture_backwards(picture: Tensor) -> None:
    filled = infill(picture, known_left_of(20), Infill.MIRROR, 1)
    torch.testing.assert_close(filled[..., 20:30], picture[..., 9:19].flip(3))


def test_mirror_goes_on_where_one_reflection_is_too_short(picture: Tensor) -> None:
    filled = infill(picture, known_left_of(6), Infill.MIRROR, 1)
    assert filled[..., 6:].std() > 0.3


def test_noise_has_the_colours_of_the_picture_and_is_that_of_the_seed() -> None:
    picture = torch.tensor([0.5, -0.3, 0.0])[:, None, None] + 0.1 * torch.randn(
        1, 1, 64, 64, generator=torch.Generator().manual_seed(1)
    )
    known = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    known[:, :, :, :32] = True
    unknown = infill(picture, known, Infill.NOISE, 5)[..., 32:]
    torch.testing.assert_close(unknown.mean((0, 2, 3)), torch.tensor([0.5, -0.3, 0.0]), atol=0.02, rtol=0)
    assert unknown[0, 0].std() == pytest.approx(0.1, rel=0.1)
    assert torch.equal(unknown, infill(picture, known, Infill.NOISE, 5)[..., 32:])
    assert not torch.equal(unknown, infill(picture, known, Infill.NOISE, 6)[..., 32:])


@pytest.mark.parametrize("seed", range(8))
def test_noise_of_a_grey_picture_is_grey(seed: int) -> None:
    grey = torch.rand(1, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    filled = infill(grey.expand(-1, 3, -1, -1), known_left_of(20), Infill.NOISE, seed)[..., 20:]
    assert (filled - filled[:, :1]).abs().max() < 0.002
    assert filled.std() > 0.3


def test_colour_is_the_mean_of_the_known_pixels(picture: Tensor) -> None:
    filled = infill(picture, known_left_of(20), Infill.COLOUR, 1)
    torch.testing.assert_close(filled[0, :, 3, 30], picture[0, :, :, :20].mean((1, 2)))


def test_what_is_even_spreads_evenly() -> None:
    weights = torch.zeros(1, 1, 40, 50)
    weights[:, :, 7, 9] = weights[:, :, 30, 41] = 1
    torch.testing.assert_close(
        spread(torch.full((1, 2, 40, 50), 0.3) * weights, weights), torch.full((1, 2, 40, 50), 0.3)
    )
