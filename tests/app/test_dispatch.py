"""The dispatcher with a fake engine: jobs end once and well, whatever dies on the way."""

from __future__ import annotations

import asyncio
import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from app.services import dispatch, gallery, generate
from app.services.dispatch import Dispatcher
from app.services.publish import DamagedImage, publish
from app.storage import files, leases
from app.storage.errors import DatabaseBusy, LeaseLost
from app.storage.store import Store
from tests.app.fake_engine import FakeEngine
from tests.app.house import House, PoisonedEngine
from tests.app.storing import must_claim, picture_event, queue, recipe

SLOW = 0.5  # seconds a step, until `hurry`
STEPS = 15


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with tempfile.TemporaryDirectory() as folder, FakeEngine(Path(folder) / "engine.sock") as fake:
        yield fake


@pytest.fixture
def house(tmp_path: Path, engine: FakeEngine) -> Iterator[House]:
    house = House(tmp_path, engine)
    yield house
    house.store.close()


def test_jobs_become_images_several_at_a_time(house: House) -> None:
    house.engine.step_delay = SLOW
    queue(house.store, "alice", *[recipe(seed, steps=STEPS) for seed in range(10)])
    house.while_dispatching(house.until(lambda: house.engine.running == 8), house.hurry, house.until_all_are("done"))
    house.assert_each_done_once()
    assert house.engine.most_running == 8


def test_events_are_in_order_and_end_once(house: House) -> None:
    house.engine.step_delay = 0.02
    (job_id,) = queue(house.store, "alice", recipe(steps=6))
    house.while_dispatching(house.until_all_are("done"))
    events = generate.events_after(house.store, "alice", 0)
    kinds = [event.kind for event in events]
    assert kinds[:2] == ["queued", "running"]
    assert kinds.count("done") == 1
    assert kinds[-1] == "done"
    steps = [event.body["step"] for event in events if event.kind == "progress"]
    assert steps == sorted(steps) != []
    (image,) = gallery.page(house.store, "alice").images
    assert events[-1].body == {"job": job_id, "status": "done", "image": image.id}


def test_a_preview_is_there_while_the_job_runs(house: House) -> None:
    house.engine.step_delay = 0.05
    (job_id,) = queue(house.store, "alice", recipe(steps=40))

    def has_new_preview() -> bool:
        found = generate.preview(house.store, "alice", job_id)
        return found is not None and found[0] > 1 and found[1].startswith(b"\x89PNG")

    house.while_dispatching(house.until(has_new_preview))
    assert house.statuses() == ["queued"]


def test_a_shutdown_puts_running_jobs_back_without_counting(house: House) -> None:
    house.engine.step_delay = SLOW
    queue(house.store, "alice", recipe(1, steps=STEPS), recipe(2, steps=STEPS))
    house.while_dispatching(house.until(lambda: house.engine.running == 2))
    assert [(job.status, job.attempt, job.step) for job in house.jobs()] == [("queued", 0, 0)] * 2
    assert house.store.holders.dead() == []
    with house.store.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM jobs WHERE alone OR holder IS NOT NULL")).scalar_one() == 0


def test_cancelling_stops_the_engine_at_once(house: House) -> None:
    house.engine.step_delay = SLOW
    job_id, other = queue(house.store, "alice", recipe(1, steps=STEPS), recipe(2, steps=STEPS))

    async def cancel() -> None:
        await asyncio.to_thread(generate.cancel, house.store, "alice", job_id)

    house.while_dispatching(
        house.until(lambda: house.engine.running == 2),
        cancel,
        house.until(lambda: [made.seed for made in house.engine.cancelled] == [1]),
        house.hurry,
        house.until(lambda: generate.job_view(house.store, "alice", other).status == "done"),
    )
    assert house.statuses() == ["cancelled", "done"]
    assert house.dispatcher.leases_lost == 0


def test_a_dead_engine_costs_no_picture(house: House) -> None:
    house.engine.step_delay = SLOW
    queue(house.store, "alice", *[recipe(seed, steps=STEPS) for seed in range(4)])

    async def kill_and_restart() -> None:
        await asyncio.to_thread(house.engine.kill)
        await house.until_all_are("queued")()
        await house.hurry()
        await asyncio.to_thread(house.engine.start)

    house.while_dispatching(
        house.until(lambda: house.engine.running == 4), kill_and_restart, house.until_all_are("done")
    )
    house.assert_each_done_once()
    assert [job.attempt for job in house.jobs()] == [2] * 4


def test_a_poison_job_is_given_up_after_three_attempts_and_its_neighbours_are_done(house: House) -> None:
    engine = PoisonedEngine(poison=2)
    house.dispatcher = Dispatcher(house.store, engine, house.settings, house.wake)
    queue(house.store, "alice", *[recipe(seed) for seed in range(4)])
    house.while_dispatching(house.until_all_are("done", "failed"))
    assert house.statuses() == ["done", "done", "failed", "done"]
    poison = house.jobs()[2]
    assert poison.error is not None
    assert (poison.error.code, poison.attempt) == ("worker_crashed", 3)
    assert engine.runs.count(2) == 3
    assert max(engine.runs.count(seed) for seed in (0, 1, 3)) == 2


@pytest.mark.parametrize("state", ["loading", "absent"])
def test_nothing_is_claimed_before_the_engine_is_up(house: House, state: str) -> None:
    queue(house.store, "alice", recipe())
    house.engine.state = "loading"
    if state == "absent":
        house.engine.kill()

    async def come_up() -> None:
        await asyncio.sleep(0.3)
        assert house.statuses() == ["queued"]
        house.engine.state = "ready"
        if state == "absent":
            await asyncio.to_thread(house.engine.start)

    house.while_dispatching(come_up, house.until_all_are("done"))
    assert [job.attempt for job in house.jobs()] == [1]


def test_a_failure_of_the_engine_fails_that_job_with_its_words(house: House) -> None:
    house.engine.fail_with = {"code": "numerical", "message": "not a number"}
    queue(house.store, "alice", recipe())
    house.while_dispatching(house.until_all_are("failed"))
    (job,) = house.jobs()
    assert job.error is not None
    assert (job.error.code, job.error.message, job.image) == ("numerical", "not a number", None)


def test_an_unknown_checkpoint_fails_the_job_once(house: House) -> None:
    queue(house.store, "alice", recipe(1, checkpoint="gone"), recipe(2))
    house.while_dispatching(house.until_all_are("failed", "done"))
    gone, _other = house.jobs()
    assert house.statuses() == ["failed", "done"]
    assert gone.attempt == 1


def test_a_fault_in_one_job_leaves_the_dispatcher_alive(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(store: Store, lease: leases.Lease, event: Any) -> str:
        if lease.recipe.seed == 1:
            raise RuntimeError("a private detail")
        return publish(store, lease, event)

    monkeypatch.setattr(dispatch, "publish", faulty)
    queue(house.store, "alice", recipe(1), recipe(2))
    house.while_dispatching(house.until_all_are("failed", "done"))
    first, second = house.jobs()
    assert (first.status, second.status) == ("failed", "done")
    assert first.error is not None
    assert first.error.code == "internal"
    assert "private" not in first.error.message


def test_pixels_that_do_not_match_their_hash_are_not_kept(house: House) -> None:
    queue(house.store, "alice", recipe())
    lease = must_claim(house.store)
    with pytest.raises(DamagedImage, match="64x64"):
        publish(house.store, lease, picture_event(lease.recipe) | {"pixel_sha256": "0" * 64})
    assert gallery.page(house.store, "alice").images == ()


def test_a_log_that_cannot_be_written_costs_no_picture(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    class ClosedPipe:
        def bind(self, **_facts: Any) -> ClosedPipe:
            return self

        def info(self, *_words: Any, **_facts: Any) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(dispatch, "log", ClosedPipe())
    queue(house.store, "alice", recipe())
    house.while_dispatching(house.until_all_are("done"))
    house.assert_each_done_once()


def test_a_full_disk_makes_the_job_wait_and_say_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "DISK_PAUSE_MS", 300)
    write, full = files._write, [True]

    def write_if_there_is_room(path: Path, content: bytes) -> None:
        if full[0]:
            raise files._translated(OSError(errno.ENOSPC, "No space left on device"))
        write(path, content)

    monkeypatch.setattr(files, "_write", write_if_there_is_room)
    queue(house.store, "alice", recipe())

    def says_so() -> bool:
        (job,) = house.jobs()
        return job.error is not None and job.error.code == "disk_full" and job.status == "queued"

    async def free_space() -> None:
        full[0] = False

    house.while_dispatching(house.until(says_so), free_space, house.until_all_are("done"))
    (job,) = house.jobs()
    assert (job.attempt, job.error) == (1, None)


def test_an_end_that_could_not_be_written_is_made_good(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "RESCUE_SECONDS", 0.1)
    failures = [DatabaseBusy()]

    def busy_once(store: Store, lease: leases.Lease, event: Any) -> str:
        if failures:
            raise failures.pop()
        return publish(store, lease, event)

    monkeypatch.setattr(dispatch, "publish", busy_once)
    queue(house.store, "alice", recipe())
    house.while_dispatching(house.until_all_are("done"))
    house.assert_each_done_once()


def test_leases_are_renewed_while_a_job_takes_long(tmp_path: Path, engine: FakeEngine) -> None:
    house = House(tmp_path, engine, lease_seconds=0.3)
    engine.step_delay = SLOW
    queue(house.store, "alice", recipe(steps=STEPS))
    ends: set[int] = set()

    def renewed_twice() -> bool:
        with house.store.read() as tx:
            ends.update(tx.execute(text("SELECT lease_until FROM jobs WHERE lease_until IS NOT NULL")).scalars())
        return len(ends) >= 3

    house.while_dispatching(house.until(renewed_twice))
    house.store.close()


def test_a_process_that_slept_through_its_lease_publishes_nothing(house: House) -> None:
    queue(house.store, "alice", recipe(steps=3))
    sleeper = must_claim(house.store, "sleeper")
    with house.store.write() as tx:
        leases.renew(tx, "sleeper", -1)
    house.while_dispatching(house.until_all_are("done"))
    with pytest.raises(LeaseLost), house.store.write() as tx:
        leases.finish(tx, sleeper, "late")
    house.assert_each_done_once()


def test_a_newcomer_finds_a_place_while_another_has_taken_all(tmp_path: Path, engine: FakeEngine) -> None:
    engine.step_delay = SLOW
    house = House(tmp_path / "data", engine, concurrency=2)
    queue(house.store, "greedy", *[recipe(seed, steps=STEPS) for seed in range(6)])

    async def ask() -> None:
        await asyncio.to_thread(queue, house.store, "polite", recipe(99, steps=STEPS))

    house.while_dispatching(
        house.until(lambda: engine.running == 2), ask, house.until(lambda: engine.running == 3), house.hurry
    )
    house.store.close()
    assert 99 in {made.seed for made in engine.started[:3]}
