"""What is computed of a tensor once."""

from __future__ import annotations

import gc

import torch
from torch import Tensor

from models.remembered import Recent, Remembered


class Counting:
    def __init__(self) -> None:
        self.asked: list[float] = []

    def __call__(self, of: Tensor) -> Tensor:
        self.asked.append(float(of.sum()))
        return of * 2


def test_it_computes_once_for_each_tensor() -> None:
    compute = Counting()
    remembered, (one, equal) = Remembered(compute, budget=10**6), (torch.ones(4), torch.ones(4))
    assert remembered(one) is remembered(one)
    assert remembered(equal) is not remembered(one)
    assert compute.asked == [4.0, 4.0]


def test_beyond_its_budget_it_forgets_what_was_asked_for_longest_ago() -> None:
    compute = Counting()
    remembered, tensors = Remembered(compute, budget=2 * 16), [torch.full((4,), float(value)) for value in range(3)]
    for index in (0, 1, 0, 2, 0, 1):
        remembered(tensors[index])
    assert compute.asked == [0.0, 4.0, 8.0, 4.0]


def test_what_it_keeps_goes_with_the_tensor() -> None:
    compute = Counting()
    remembered = Remembered(compute, budget=10**6)
    for value in range(5):
        assert torch.equal(remembered(torch.full((4,), float(value))), torch.full((4,), 2.0 * value))
        gc.collect()
    assert compute.asked == [0.0, 4.0, 8.0, 12.0, 16.0]


def test_of_keys_it_keeps_so_many_bytes_of_what_was_asked_for_last() -> None:
    asked = []

    def compute(key: int) -> Tensor:
        asked.append(key)
        return torch.full((key,), 1.0)

    recent = Recent(compute, budget=20 * 4)
    for key in (8, 8, 4, 8, 12, 8, 4):
        assert recent(key).numel() == key
    assert asked == [8, 4, 12, 4]
    assert recent.bytes == (8 + 4) * 4
    recent(30)  # more than all of the budget: it alone
    assert recent.bytes == 30 * 4
