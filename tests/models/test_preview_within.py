"""A preview of a part, shown in the picture that it is a part of."""

from __future__ import annotations

import pytest
import torch

from models.calls import Backdrop
from models.preview import MAX_BACKDROP, within


def test_the_part_stands_in_its_place_and_the_rest_is_the_picture() -> None:
    picture = torch.zeros(1, 3, 64, 96)
    shown = within(torch.ones(1, 3, 4, 4), Backdrop(picture, (32, 8, 40, 24)))
    expected = torch.zeros(1, 3, 64, 96)
    expected[:, :, 8:32, 32:72] = 1
    torch.testing.assert_close(shown, expected)
    assert picture.sum() == 0  # the job goes on with it


def test_a_part_that_goes_beyond_the_picture_is_cut_off() -> None:
    shown = within(torch.ones(1, 3, 4, 4), Backdrop(torch.zeros(1, 3, 64, 64), (48, 48, 32, 32)))
    assert float(shown.sum()) == pytest.approx(3 * 16 * 16)


@pytest.mark.parametrize("side", [MAX_BACKDROP, MAX_BACKDROP + 8, 2048])
def test_large_pictures_are_shown_smaller(side: int) -> None:
    shown = within(torch.ones(1, 3, 4, 4), Backdrop(torch.zeros(1, 3, side, side), (side // 2, 0, side // 2, side)))
    assert max(shown.shape) <= MAX_BACKDROP
    assert float(shown.mean()) == pytest.approx(0.5, abs=0.02)
