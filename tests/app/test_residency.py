"""Who is in memory and for how long, with a clock that the test moves and loads that take as long as it says."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from app.engine.residency import Residency

LOAD_SECONDS = 30.0
JOB_SECONDS = 4.0
PATIENCE = 10.0


@dataclass
class Bench:
    """A residency of checkpoints of one byte each, and a clock."""

    budget: int
    now: float = 0.0
    residency: Residency = field(init=False)

    def __post_init__(self) -> None:
        self.residency = Residency(self.budget, patience=PATIENCE, clock=lambda: self.now)
        for name in "abcd":
            self.residency.add(name, 1)

    def plan(self, waiting: str, in_use: str = "") -> tuple[list[str], list[str]]:
        """Plan, and let what is to be loaded come in at once."""
        moves = self.residency.plan(list(waiting), set(in_use))
        for name in moves.load:
            self.residency.entered(name, 1)
        return moves.evict, moves.load


def test_what_is_waited_for_is_loaded_once() -> None:
    bench = Bench(budget=2)
    assert bench.residency.plan(["a", "a", "b"], set()).load == ["a", "b"]
    assert bench.residency.plan(["a", "b"], set()).load == []


def test_the_least_recently_used_leaves_first() -> None:
    bench = Bench(budget=2)
    bench.plan("a")
    bench.plan("b")
    bench.now = 1.0
    bench.plan("", in_use="a")
    assert bench.plan("c") == (["b"], ["c"])
    assert bench.residency.used == 2


def test_what_is_in_use_stays() -> None:
    bench = Bench(budget=1)
    bench.plan("a")
    bench.now = 5.0
    assert bench.plan("b", in_use="a") == ([], [])
    assert "a" not in bench.residency.yielding
    assert bench.plan("b") == (["a"], ["b"])


def test_jobs_of_the_loaded_checkpoint_are_not_put_off_by_each_newcomer() -> None:
    bench = Bench(budget=1)
    bench.plan("a")
    bench.plan("ab")
    bench.now = PATIENCE - 0.1
    assert bench.plan("ab") == ([], [])
    assert bench.residency.yielding == frozenset()


def test_one_that_has_waited_long_enough_makes_the_others_finish_and_leave() -> None:
    bench = Bench(budget=1)
    bench.plan("a")
    bench.plan("ab", in_use="a")
    bench.now = PATIENCE
    assert bench.plan("ab", in_use="a") == ([], [])
    assert bench.residency.yielding == {"a"}
    assert bench.plan("ab") == (["a"], ["b"])


def test_whoever_has_just_come_in_may_stay_for_a_while() -> None:
    bench = Bench(budget=1)
    bench.plan("ab")
    bench.now = PATIENCE
    bench.plan("ab")
    bench.plan("ab")
    assert bench.residency.yielding == frozenset()
    bench.now = 2 * PATIENCE
    assert bench.plan("ab") == (["b"], ["a"])


def test_nobody_overtakes_the_one_for_whom_room_is_being_made() -> None:
    bench = Bench(budget=2)
    bench.residency.add("big", 2)
    bench.plan("a")
    bench.residency.plan(["big"], {"a"})
    bench.now = PATIENCE
    moves = bench.residency.plan(["big", "c"], {"a"})
    assert (moves.evict, moves.load) == ([], [])


def test_one_that_is_larger_than_the_budget_is_let_in_alone() -> None:
    bench = Bench(budget=2)
    bench.plan("ab")
    bench.residency.add("huge", 100)
    moves = bench.residency.plan(["huge"], set())
    assert (sorted(moves.evict), moves.load) == (["a", "b"], ["huge"])


def test_a_load_under_way_is_waited_for_and_not_evicted() -> None:
    bench = Bench(budget=1)
    bench.residency.plan(["a"], set())
    bench.now = 10 * PATIENCE
    moves = bench.residency.plan(["a", "b"], set())
    assert (moves.evict, moves.load) == ([], [])


def test_a_failed_load_leaves_its_room_to_others() -> None:
    bench = Bench(budget=1)
    bench.residency.plan(["a"], set())
    bench.residency.left("a")
    assert bench.residency.plan(["b"], set()).load == ["b"]


@pytest.mark.parametrize("budget", [1, 2])
def test_nobody_waits_for_ever_however_much_is_asked_for(budget: int) -> None:
    """Each of four checkpoints has a job waiting at all times; two jobs run at once, each for `JOB_SECONDS`."""
    bench = Bench(budget)
    residency, ends, running = bench.residency, dict[str, float](), list[tuple[str, float]]()
    served = dict.fromkeys("abcd", 0.0)
    longest, switches = 0.0, 0
    while bench.now < 3000.0:
        for name in [name for name, at in ends.items() if at <= bench.now]:
            residency.entered(name, 1)
            del ends[name]
        running = [(name, at) for name, at in running if at > bench.now]
        moves = residency.plan(list("abcd"), {name for name, _at in running})
        ends |= dict.fromkeys(moves.load, bench.now + LOAD_SECONDS)
        switches += len(moves.load)
        free = [name for name in "abcd" if _is_in(residency, name) and name not in residency.yielding]
        for name in free:
            longest = max(longest, bench.now - served[name])
            served[name] = bench.now
        running += [(name, bench.now + JOB_SECONDS) for name in free]
        bench.now += 1.0
    turns = 4 / budget
    assert longest <= turns * (PATIENCE + JOB_SECONDS + 2.0) + 4 * LOAD_SECONDS
    assert switches <= budget * 3000.0 / (PATIENCE + LOAD_SECONDS)
    assert min(served.values()) > 3000.0 - longest - 1.0


def _is_in(residency: Residency, name: str) -> bool:
    return residency._seats[name].state == "in"
