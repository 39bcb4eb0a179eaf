"""Masks: how they grow, where their ramp lies, and which latents they are of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from models.masks import cells, distance, grown, ramp


def mask_of(*white: tuple[int, int], height: int = 24, width: int = 30) -> Tensor:
    mask = torch.zeros(1, 1, height, width)
    for row, column in white:
        mask[0, 0, row, column] = 1
    return mask


def by_hand(region: Tensor) -> np.ndarray:
    """The distance of each pixel to each of the region, of which the least."""
    rows, columns = np.nonzero(region[0, 0].numpy())
    here = np.mgrid[: region.shape[2], : region.shape[3]]
    distances: np.ndarray = np.hypot(here[0] - rows[:, None, None], here[1] - columns[:, None, None]).min(axis=0)
    return distances


@pytest.mark.parametrize("limit", [1, 5, 40])
def test_distances_are_those_of_euclid_up_to_the_limit(limit: int) -> None:
    region = mask_of((3, 4), (3, 20), (18, 11), (23, 0)) > 0
    wanted, found = by_hand(region), distance(region, limit)[0, 0].numpy()
    near = wanted <= limit
    np.testing.assert_allclose(found[near], wanted[near], atol=1e-5)
    assert (found[~near] > limit).all()


def test_nothing_is_far_from_everything() -> None:
    assert (distance(mask_of() > 0, 7) > 7).all()


def test_a_mask_grows_as_a_disc() -> None:
    mask = mask_of((10, 12))
    np.testing.assert_array_equal(grown(mask, 6)[0, 0].numpy() > 0, by_hand(mask > 0) <= 6)


def test_growing_by_nothing_or_from_nothing_changes_nothing() -> None:
    assert torch.equal(grown(mask_of((2, 2)), 0), mask_of((2, 2)))
    assert torch.equal(grown(mask_of(), 5), mask_of())


def test_greys_keep_their_value_and_what_grows_takes_the_largest_near() -> None:
    mask = mask_of((10, 10)) * 0.25
    mask[0, 0, 10, 11] = 0.5
    grey = grown(mask, 2)
    assert grey[0, 0, 10, 10] == 0.25
    assert grey[0, 0, 10, 13] == 0.5
    assert grey[0, 0, 10, 8] == 0.25


def test_a_ramp_lies_within_its_region_and_reaches_one() -> None:
    region = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    region[:, :, 8:32, 8:32] = True
    share = ramp(region, 6, whole=torch.zeros_like(region))
    assert (share[~region] == 0).all()
    assert (share[region] > 0).all()
    assert (share[:, :, 14:26, 14:26] == 1).all()
    along = share[0, 0, 20, 8:20]
    assert (along.diff() >= 0).all()
    assert along.diff().max() < 0.3


def test_a_ramp_of_no_width_is_an_edge() -> None:
    region = mask_of((4, 4), (4, 5)) > 0
    assert torch.equal(ramp(region, 0, whole=torch.zeros_like(region)), region.float())


def test_the_edge_of_the_picture_is_no_edge_of_a_region() -> None:
    region = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    region[:, :, :, :12] = True
    assert (ramp(region, 4, whole=torch.zeros_like(region))[:, :, :, 0] == 1).all()


def test_what_has_no_pixels_of_its_own_is_taken_whole_however_wide_the_ramp() -> None:
    region, missing = torch.zeros(2, 1, 1, 20, 30, dtype=torch.bool)
    region[:, :, :, 10:], missing[:, :, :, 14:] = True, True
    share = ramp(region, 16, whole=missing)
    assert (share[missing] == 1).all()
    assert (share[~region] == 0).all()
    assert 0 < share[0, 0, 5, 10] < share[0, 0, 5, 13] < 1


def test_a_cell_has_the_largest_value_in_it() -> None:
    mask = torch.zeros(1, 1, 16, 24)
    mask[0, 0, 7, 8], mask[0, 0, 15, 23] = 0.3, 1.0
    assert cells(mask, 8)[0, 0].tolist() == [[0, pytest.approx(0.3), 0], [0, 0, 1]]
