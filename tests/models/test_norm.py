"""Group norm on large maps: as exact as on small ones, row by row."""

from __future__ import annotations

import pytest
import torch

from models.norm import GroupNorm


def norm_and_map(side: int) -> tuple[GroupNorm, torch.Tensor]:
    torch.manual_seed(0)
    norm = GroupNorm(2, 8)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = 1 + torch.randn(2, 8, side, side)
    return norm, x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("side", [128, 256])
def test_it_is_the_norm_in_twice_the_precision(side: int) -> None:
    norm, x = norm_and_map(side)
    found = norm(x)
    wanted = torch.nn.functional.group_norm(x.double(), 2, norm.weight.double(), norm.bias.double())
    assert (found.double() - wanted).norm() / wanted.norm() < 5e-7
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_no_bit_of_a_row_depends_on_the_others() -> None:
    norm, x = norm_and_map(128)
    assert torch.equal(norm(x)[1:], norm(x[1:]))


def test_it_can_be_trained() -> None:
    norm, x = norm_and_map(128)
    norm(x).square().mean().backward()
    assert norm.weight.grad is not None
    assert norm.weight.grad.isfinite().all()
