"""Who gets the device next, on a clock of its own: each row takes as many milliseconds as it has latents."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from app.engine.engine import Engine
from app.engine.task import Finished
from models.calls import Call, Decode, Predict
from tests.app.fake_bundle import FakeBundle, Heard, engine_of, finish, step_until

SMALL, WIDE = {"width": 64, "height": 64}, {"width": 128, "height": 64}  # 64 and 128 latents a row


@dataclass
class House:
    """An engine whose calls take time, and the jobs that are in it or have left it."""

    max_rows: int = 4
    now: float = 0.0
    rows_of: Counter[str] = field(default_factory=Counter)
    finished_at: dict[Heard, float] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    bundle: FakeBundle = field(default_factory=FakeBundle)

    def __post_init__(self) -> None:
        self.bundle.before = self._take
        self.engine: Engine = engine_of(self.bundle, max_rows=self.max_rows, clock=lambda: self.now)

    def ask(self, owner: str, **fields: object) -> Heard:
        heard = Heard(owner=owner, **fields)
        self.engine.submit(heard.task)
        self.heard.append(heard)
        return heard

    def step(self) -> bool:
        did = self.engine.step()
        for heard in self.heard:
            if heard not in self.finished_at and heard.events and isinstance(heard.last, Finished):
                self.finished_at[heard] = self.now
        return did

    def run_until(self, reached: Callable[[], bool]) -> None:
        for _ in range(20_000):
            if reached():
                return
            assert self.step()
        raise AssertionError("that was never reached")

    def _take(self, calls: Sequence[Call]) -> None:
        for call in calls:
            if isinstance(call, Predict):
                self.now += call.rows * math.prod(call.sample.shape[2:]) / 1000


def operations(heard: Sequence[Heard]) -> float:
    return sum(len(each.steps) * each.task.recipe.width * each.task.recipe.height / 64 for each in heard)


def test_sizes_take_turns_by_operations_and_not_by_calls() -> None:
    house = House(max_rows=2)
    small, wide = house.ask("a", steps=90, **SMALL), house.ask("b", steps=90, **WIDE)
    house.run_until(lambda: len(small.steps) == 60)
    assert len(wide.steps) == pytest.approx(30, abs=2)


def test_of_two_sizes_under_load_each_gets_what_its_owners_are_due() -> None:
    house = House(max_rows=4)
    small = [house.ask(owner, steps=150, **SMALL) for owner in "abc"]
    wide = [house.ask("d", steps=150, seed=seed, **WIDE) for seed in range(4)]
    house.run_until(lambda: operations(small) + operations(wide) >= 9000)
    assert operations(small) / operations(wide) == pytest.approx(3, rel=0.1)


def test_an_owner_with_two_sizes_counts_for_half_in_each() -> None:
    house = House(max_rows=2)
    mine = [house.ask("a", steps=150, **SMALL), house.ask("a", steps=150, **WIDE)]
    other = house.ask("b", steps=150, **SMALL)
    house.run_until(lambda: len(other.steps) >= 100)
    assert operations(mine) / operations([other]) == pytest.approx(1, rel=0.15)


def test_owners_share_a_call_fairly_however_many_jobs_they_have() -> None:
    house = House(max_rows=4)
    greedy = [house.ask("greedy", steps=50, seed=seed) for seed in range(12)]
    polite = house.ask("polite", steps=40)
    house.run_until(lambda: len(polite.steps) == 40)
    assert sum(len(each.steps) for each in greedy) <= 42


def test_who_comes_later_gets_no_more_than_a_fair_share_from_then_on() -> None:
    house = House(max_rows=2)
    first = house.ask("first", steps=150)
    house.run_until(lambda: len(first.steps) == 60)
    second = house.ask("second", steps=150)
    house.run_until(lambda: len(second.steps) == 40)
    assert len(first.steps) == pytest.approx(100, abs=2)


def test_of_one_owners_jobs_those_with_the_least_left_go_first() -> None:
    house = House(max_rows=2)
    jobs = [house.ask("a", steps=steps, seed=steps) for steps in (30, 20, 10)]
    house.run_until(lambda: len(house.finished_at) == 3)
    assert sorted(jobs, key=lambda job: house.finished_at[job]) == jobs[::-1]


def test_a_long_job_is_done_although_shorter_ones_keep_coming() -> None:
    house = House(max_rows=2)
    long = house.ask("a", steps=100)
    for seed in range(2000):
        short = house.ask("a", steps=4, seed=seed)
        house.run_until(lambda short=short: short in house.finished_at or long in house.finished_at)  # type: ignore[misc]
        if long in house.finished_at:
            break
    assert house.finished_at[long] < 10 * 100 * 0.128
    assert len(house.finished_at) > 20


def test_rows_are_capped_and_every_step_of_a_job_is_made_once_and_in_order() -> None:
    house = House(max_rows=5)
    jobs = [house.ask(f"{seed % 3}", steps=7, seed=seed, guidance_scale=1 + seed % 2) for seed in range(9)]
    house.run_until(lambda: len(house.finished_at) == 9)
    rows = [sum(call.rows for call in batch) for batch in house.bundle.predicts]
    assert max(rows) == 5
    assert all(job.steps == [1, 2, 3, 4, 5, 6, 7] for job in jobs)
    assert sum(rows) == sum(7 * (1 + seed % 2) for seed in range(9))


def test_a_lone_row_takes_another_job_into_its_call() -> None:
    house = House(max_rows=2)
    for seed in range(4):
        house.ask("a", steps=5, seed=seed, guidance_scale=1 + seed % 2)
    house.run_until(lambda: len(house.finished_at) == 4)
    assert {sum(call.rows for call in batch) for batch in house.bundle.predicts} <= {2, 3}


def test_a_picture_is_decoded_part_by_part_with_a_step_of_the_others_between() -> None:
    bundle, long = FakeBundle(decoding_parts=4), Heard(owner="a", steps=20)
    bundle.costs.decoding = 10_000.0
    finish(engine_of(bundle, max_rows=4), long, *(Heard(owner="b", steps=2, seed=seed) for seed in range(2)))
    kinds = [type(batch[0]) for batch in bundle.batches]
    decodes = [place for place, kind in enumerate(kinds[:-4]) if kind is Decode]
    assert len(decodes) == 8
    assert all(kinds[place - 1] is Predict and kinds[place + 1] is Predict for place in decodes)
    halves = [[batch[0] for batch in bundle.batches if type(batch[0]) is Decode][start : start + 4] for start in (0, 4)]
    assert all(len(set(map(id, half))) == 1 for half in halves)


def test_a_picture_that_is_decoded_in_no_time_waits_for_no_step_of_a_large_one() -> None:
    bundle, large, small = (
        FakeBundle(decoding_parts=4),
        Heard(owner="a", width=512, steps=20),
        Heard(owner="b", steps=2),
    )
    finish(engine_of(bundle, max_rows=4), large, small)
    kinds = [type(batch[0]) for batch in bundle.batches]
    first = kinds.index(Decode)
    assert kinds[first : first + 5] == [Decode] * 4 + [Predict]


def test_a_job_that_is_cancelled_while_it_is_decoded_leaves_at_once() -> None:
    bundle, goes = FakeBundle(decoding_parts=3), Heard(steps=2)
    engine = engine_of(bundle)
    engine.submit(goes.task)
    step_until(engine, lambda: goes.task.parts is not None)
    engine.cancel(goes.task.id)
    assert not engine.step()
    assert goes.task.parts is None
    assert engine.running == 0


def polite_waits(*, greedy: bool) -> list[float]:
    """How long eight owners wait for a picture each, again and again; another has always eight."""
    house = House(max_rows=4)
    waits: list[float] = []
    asked: dict[Heard, float] = {}
    for turn in range(8 * 12):
        asked[house.ask(f"polite {turn % 8}", steps=5, seed=turn)] = house.now
        if turn < 7:
            continue
        while greedy and sum(each not in house.finished_at and each not in asked for each in house.heard) < 8:
            house.ask("greedy", steps=5, seed=len(house.heard))
        house.run_until(lambda: any(each in house.finished_at for each in asked))
        over = next(each for each in asked if each in house.finished_at)
        waits.append(house.finished_at[over] - asked.pop(over))
    return sorted(waits)


def test_polite_users_hardly_notice_a_greedy_one() -> None:
    alone, crowded = polite_waits(greedy=False), polite_waits(greedy=True)
    place = int(len(alone) * 0.95)
    assert crowded[place] <= 1.3 * alone[place]
