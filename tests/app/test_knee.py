"""How many rows a call should have: found on devices that are formulas, and kept in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import torch

from app.engine.knee import Knees, search
from app.engine.limits import Limits
from models.bundle import Bundle
from tests.app.fake_bundle import FakeBundle


def found(seconds_of: Callable[[int], float]) -> tuple[int, list[int]]:
    asked: list[int] = []

    def ask(rows: int) -> float:
        asked.append(rows)
        return seconds_of(rows)

    turns = search(ask)
    while True:
        try:
            next(turns)
        except StopIteration as end:
            return int(end.value), asked


@pytest.mark.parametrize(
    ("fixed", "each", "rows"),
    [(0.0, 0.01, 2), (0.004, 0.01, 4), (0.002, 0.001, 16), (0.003, 0.0001, 64)],
    ids=["a row costs the same", "an eighth is overhead", "two rows' time is overhead", "a wide device"],
)
def test_it_takes_the_fewest_rows_that_come_near_the_best_rate(fixed: float, each: float, rows: int) -> None:
    assert found(lambda count: fixed + each * count)[0] == rows


def test_it_stops_before_a_call_would_take_long() -> None:
    _, asked = found(lambda count: 0.05 + 0.1 * count)
    assert max(asked) <= 4


@pytest.mark.parametrize(("fits", "rows"), [(16, 16), (1, 2)])
def test_it_takes_the_best_of_what_fits_into_the_memory(fits: int, rows: int) -> None:
    def seconds(count: int) -> float:
        if count > fits and len(asked) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        asked.append(count)
        return 0.003 + 0.0001 * count

    asked: list[int] = []
    assert found(seconds)[0] == rows


def settled(knees: Knees, bundle: FakeBundle) -> int:
    """Go on until nothing is left to do; return the number of calls."""
    while knees.go_on(cast(Bundle, bundle)):
        pass
    return len(bundle.batches)


def test_what_was_found_is_kept_for_the_next_start_and_bounds_the_operations_of_a_call(tmp_path: Path) -> None:
    path, limits = tmp_path / "measurements.json", Limits()
    assert settled(Knees(limits, path), FakeBundle()) > 0
    again = Limits()
    assert settled(Knees(again, path), FakeBundle()) == 0
    assert again.knees == limits.knees
    native = 64.0  # operations of a row of 8 by 8 latents
    rows = again.rows("key", cast(Bundle, FakeBundle()), (8, 8), native)
    assert rows == again.knees["fake"] / native
    assert again.rows("key", cast(Bundle, FakeBundle()), (16, 8), 2 * native) == max(2, rows // 2)


def test_work_interrupts_the_search_which_begins_anew(tmp_path: Path) -> None:
    limits, bundle = Limits(), FakeBundle()
    knees = Knees(limits, tmp_path / "measurements.json")
    for _ in range(3):
        assert knees.go_on(cast(Bundle, bundle))
    knees.drop()
    assert limits.knees == {}
    assert settled(knees, bundle) > 3


def test_a_file_that_says_something_else_is_as_none(tmp_path: Path) -> None:
    path = tmp_path / "measurements.json"
    path.write_text("[1, 2")
    assert settled(Knees(Limits(), path), FakeBundle()) > 0


def test_memory_bounds_the_rows_but_for_one_picture() -> None:
    bundle = cast(Bundle, FakeBundle())
    assert Limits(memory=64 * 10).rows("key", bundle, (8, 8), 64.0) == 10
    assert Limits(memory=1).rows("key", bundle, (8, 8), 64.0) == 2
