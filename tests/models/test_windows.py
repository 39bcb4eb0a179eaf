"""Means and largest values over windows are those that pooling gives, for windows of any size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.windows import largest_near, mean_near

SIZES = [(1, 1), (2, 2), (6, 3), (8, 8), (0, 16), (16, 48)]  # the last is wider than the picture


@pytest.fixture(scope="module")
def values() -> Tensor:
    return torch.rand((1, 3, 20, 33), generator=torch.Generator().manual_seed(0)) - 0.5


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_a_mean_is_that_of_pooling_with_zeros_beyond_the_edge(values: Tensor, rows: int, columns: int) -> None:
    padded = F.pad(values.double(), (columns, columns, rows, rows))
    wanted = F.avg_pool2d(padded, (2 * rows + 1, 2 * columns + 1), 1)
    assert (mean_near(values, rows, columns) - wanted).abs().max() < 2e-7


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_a_mean_may_have_the_edge_again_beyond_it(values: Tensor, rows: int, columns: int) -> None:
    padded = F.pad(values.double(), (columns, columns, rows, rows), mode="replicate")
    wanted = F.avg_pool2d(padded, (2 * rows + 1, 2 * columns + 1), 1)
    assert (mean_near(values, rows, columns, "replicate") - wanted).abs().max() < 2e-7


@pytest.mark.parametrize("pixels", [0, 1, 2, 6, 15, 16, 40])
def test_the_largest_value_is_that_of_pooling(values: Tensor, pixels: int) -> None:
    padded = F.pad(values, (pixels,) * 4, value=-torch.inf)
    assert torch.equal(largest_near(values, pixels), F.max_pool2d(padded, 2 * pixels + 1, 1))
