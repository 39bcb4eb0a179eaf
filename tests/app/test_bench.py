"""The bench's own arithmetic: turns, spreads, ratios, and what a figure should have been."""

from __future__ import annotations

from typing import cast

import pytest
import torch

from app.cli.bench.fair import House
from app.cli.bench.figure import Figure
from app.cli.bench.measure import Timing, agree, in_turns, ratios
from app.engine.pricing import CHUNK_SHARE
from models.bundle import Bundle
from models.calls import Encode
from models.recipe import Recipe
from tests.app.fake_bundle import FakeBundle

RECIPE = Recipe(prompt="a lake", seed=1, width=64, height=64, steps=10)


def test_sides_take_turns_in_alternating_order() -> None:
    order: list[str] = []
    sides = {name: lambda name=name: order.append(name) for name in "ab"}
    timings = in_turns(sides, rounds=3)
    assert "".join(order) == "ab" + "abbaab"
    assert [len(timing.clock) for timing in timings.values()] == [3, 3]


def test_a_ratio_is_taken_run_by_run() -> None:
    clock, processor = ratios("step", Timing((1.0, 8.0), (1.0, 1.0)), Timing((2.0, 8.0), (4.0, 4.0)), at_most=0.7)
    assert (clock.value, clock.low, clock.high, clock.is_missed) == (0.75, 0.5, 1.0, True)
    assert (processor.value, processor.is_missed) == (0.25, False)


def test_no_timing_counts_of_answers_that_differ() -> None:
    theirs = torch.ones(10)
    assert agree("step", theirs, theirs, 1e-5).value == 0
    for ours in (theirs * 1.001, theirs * torch.nan):
        with pytest.raises(RuntimeError, match="no timing counts"):
            agree("step", ours, theirs, 1e-5)


@pytest.mark.parametrize(("value", "missed"), [(0.5, True), (1.0, False), (2.0, False), (2.5, True)])
def test_a_figure_says_whether_it_is_what_was_wanted(value: float, missed: bool) -> None:
    figure = Figure("throughput", value, "x", at_least=1.0, at_most=2.0)
    assert figure.is_missed == missed
    assert ("MISSED" in str(figure)) == missed


@pytest.mark.parametrize("greed", [5, 40])
def test_polite_users_wait_little_longer_beside_a_greedy_one(greed: int) -> None:
    """The 95th percentile, in what the device has done; 1.3 is what was wanted."""

    def waits(of_greed: int) -> list[float]:
        bundle = FakeBundle()
        house = House(cast(Bundle, bundle), RECIPE, lambda: _work(bundle))
        return sorted(house.serve(4, of_greed))

    alone, beside = waits(0), waits(greed)
    assert 1 <= beside[-2] / alone[-2] <= 1.3


def _work(bundle: FakeBundle) -> float:
    """As `pricing` has it: what is no row of the U-Net is a picture to decode, which costs as much, or a prompt."""
    calls = [call for batch in bundle.batches for call in batch]
    return sum(CHUNK_SHARE if isinstance(call, Encode) else getattr(call, "rows", 1) for call in calls)
