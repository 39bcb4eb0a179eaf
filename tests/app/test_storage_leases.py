"""Claims, renewals and ends of jobs, and what becomes of a job whose engine or process has died."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, text

from app.services import claims
from app.services.publish import publish
from app.storage import events, images, jobs, leases
from app.storage.errors import LeaseLost
from app.storage.leases import Lease
from app.storage.store import Store
from tests.app.storing import claim, must_claim, picture_event, queue, recipe, settings

MAX_ATTEMPTS = 3


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(settings(tmp_path))
    yield store
    store.close()


def row(store: Store, owner: str, job_id: str) -> Row[Any]:
    with store.read() as tx:
        found = jobs.one(tx, owner, job_id)
    assert found is not None
    return found


def crash(store: Store, lease: Lease) -> bool:
    with store.write() as tx:
        return leases.crashed(tx, lease, MAX_ATTEMPTS)


def finish(store: Store, lease: Lease) -> str:
    return publish(store, lease, picture_event(lease.recipe))


def test_a_claim_counts_the_attempt_and_says_so(store: Store) -> None:
    (job_id,) = queue(store, "alice", recipe())
    lease = must_claim(store)
    claimed = row(store, "alice", job_id)
    assert (claimed.status, claimed.attempt, claimed.lease_token) == ("running", 1, lease.token)
    with store.read() as tx:
        assert [event.kind for event in events.after(tx, "alice", 0, 10)] == ["queued", "running"]
    assert claim(store) is None


def test_a_claim_is_one_statement(store: Store) -> None:
    queue(store, "alice", recipe())
    with store.write() as tx:
        statements: list[str] = []
        raw = tx.connection.dbapi_connection
        assert raw is not None
        raw.set_trace_callback(statements.append)
        leases.claim(tx, "here", 1000)
        raw.set_trace_callback(None)
    on_jobs = [statement for statement in statements if " jobs" in statement]
    assert len(on_jobs) == 1
    assert on_jobs[0].startswith("UPDATE jobs")


def test_no_job_is_claimed_twice_by_threads_that_claim_at_once(store: Store) -> None:
    queue(store, "alice", *[recipe(seed) for seed in range(40)])
    taken: list[str] = []

    def take() -> None:
        while (lease := claim(store, threading.current_thread().name)) is not None:
            taken.append(lease.job_id)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 40


def test_owners_take_turns_and_positions_foretell_the_order_of_claims(store: Store) -> None:
    of = dict.fromkeys(queue(store, "alice", *[recipe(seed) for seed in range(5)]), "alice")
    must_claim(store)
    of |= dict.fromkeys(queue(store, "bob", *[recipe(seed) for seed in range(3)]), "bob")
    of |= dict.fromkeys(queue(store, "carol", recipe()), "carol")
    with store.read() as tx:
        seqs = {row.seq: row.id for row in tx.execute(text("SELECT seq, id FROM jobs WHERE status = 'queued'"))}
        positions = jobs.positions(tx, list(seqs))
    foretold = [seqs[seq] for seq, _position in sorted(positions.items(), key=lambda item: item[1])]
    claimed = [must_claim(store).job_id for _ in range(8)]
    assert claimed == foretold
    assert sorted(positions.values()) == list(range(1, 9))
    assert [of[job_id] for job_id in claimed] == ["bob", "carol", "alice", "bob", "alice", "bob", "alice", "alice"]


def test_an_end_needs_the_lease(store: Store) -> None:
    (job_id,) = queue(store, "alice", recipe())
    late = must_claim(store, "paused process")
    crash(store, late)
    current = must_claim(store, "its heir")
    with pytest.raises(LeaseLost):
        finish(store, late)
    with pytest.raises(LeaseLost), store.write() as tx:
        leases.progress(tx, late, 3, 4, None)
    finish(store, current)
    with pytest.raises(LeaseLost):
        finish(store, current)
    with store.read() as tx:
        assert images.count(tx, "alice") == 1
    assert row(store, "alice", job_id).status == "done"


def test_a_preview_is_one_row_that_is_overwritten_and_goes_with_the_end(store: Store) -> None:
    (job_id,) = queue(store, "alice", recipe())
    lease = must_claim(store)
    for step, png in enumerate((b"first", None, b"second"), start=1):
        with store.note() as tx:
            leases.progress(tx, lease, step, 4, png)
    with store.read() as tx:
        assert jobs.preview(tx, "alice", job_id) == (2, b"second")
        assert jobs.preview(tx, "bob", job_id) is None
    assert row(store, "alice", job_id).step == 3
    finish(store, lease)
    with store.read() as tx:
        assert jobs.preview(tx, "alice", job_id) is None


def test_the_preview_of_what_was_cancelled_stays_for_those_who_waited_until_it_is_swept(store: Store) -> None:
    (job_id,) = queue(store, "alice", recipe())
    lease = must_claim(store)
    with store.note() as tx:
        leases.progress(tx, lease, 1, 4, b"first")
    job = row(store, "alice", job_id)
    with store.write() as tx:
        assert jobs.cancel(tx, job)
        assert jobs.forget_previews(tx, 3_600_000) == 0
        assert jobs.preview(tx, "alice", job_id) == (1, b"first")
        assert jobs.forget_previews(tx, -1) == 1
        assert jobs.preview(tx, "alice", job_id) is None


def test_neighbours_of_a_crash_run_alone_and_are_not_blamed(store: Store) -> None:
    queue(store, "alice", *[recipe(seed) for seed in range(3)])
    poison, *neighbours = [must_claim(store) for _ in range(3)]
    for lease in (poison, *neighbours):
        assert not crash(store, lease)
    queue(store, "bob", recipe())
    given_up = []
    for _ in range(4):
        suspect = must_claim(store)
        assert suspect.alone
        assert claim(store) is None
        if suspect.job_id != poison.job_id:
            finish(store, suspect)
        elif crash(store, suspect):
            given_up.append(suspect.attempt)
    assert given_up == [MAX_ATTEMPTS]
    failed = row(store, "alice", poison.job_id)
    assert (failed.status, failed.error_code, failed.attempt) == ("failed", "worker_crashed", 3)
    for lease in neighbours:
        assert row(store, "alice", lease.job_id).status == "done"
    assert must_claim(store).owner == "bob"


def test_a_job_that_must_run_alone_waits_until_the_others_have_ended(store: Store) -> None:
    queue(store, "alice", recipe(1), recipe(2), recipe(3))
    first, second = must_claim(store), must_claim(store)
    crash(store, second)
    assert claim(store) is None
    assert claim(store, "another engine") is not None
    finish(store, first)
    assert claim(store) is not None


def test_a_job_that_is_given_back_has_not_been_tried(store: Store) -> None:
    (job_id,) = queue(store, "alice", recipe())
    must_claim(store)
    claims.give_back_all(store, "another")
    assert row(store, "alice", job_id).status == "running"
    claims.give_back_all(store, "here")
    given_back = row(store, "alice", job_id)
    assert (given_back.status, given_back.attempt, given_back.alone) == ("queued", 0, False)


def test_a_paused_job_says_why_and_is_not_claimed_before_its_time(store: Store) -> None:
    (job_id,) = queue(store, "alice", recipe())
    lease = must_claim(store)
    with store.write() as tx:
        leases.pause(tx, lease, 60_000, "disk_full", "no space")
    paused = row(store, "alice", job_id)
    assert (paused.status, paused.error_code, paused.attempt) == ("queued", "disk_full", 0)
    assert claim(store) is None
    assert not claims.is_waiting(store)
    with store.write() as tx:
        tx.execute(text("UPDATE jobs SET not_before = not_before - 61000"))
    must_claim(store)
    assert row(store, "alice", job_id).error_code is None


def test_a_paused_job_does_not_wait_for_a_clock_that_was_set_back(store: Store) -> None:
    queue(store, "alice", recipe())
    lease = must_claim(store)
    with store.write() as tx:
        leases.pause(tx, lease, 15_000, "disk_full", "no space")
        tx.execute(text("UPDATE jobs SET not_before = not_before + 86400000"))
    assert claims.is_waiting(store)
    must_claim(store)


def test_a_lapsed_lease_of_a_silent_process_is_taken_over_and_a_renewed_one_is_not(store: Store) -> None:
    (job_id,) = queue(store, "alice", recipe())
    lease = must_claim(store, "silent")
    with store.write() as tx:
        leases.renew(tx, "silent", -1)
    claims.renew(store, "silent", 30_000)
    assert claims.rescue(store, "here", frozenset(), MAX_ATTEMPTS) == 0
    claims.renew(store, "silent", -1)
    assert claims.rescue(store, "here", frozenset(), MAX_ATTEMPTS) == 1
    assert row(store, "alice", job_id).status == "queued"
    assert not claims.is_taken_over(store, lease)
    must_claim(store)
    assert claims.is_taken_over(store, lease)


def test_a_job_of_our_own_is_never_taken_over_while_we_work_on_it(store: Store) -> None:
    (job_id,) = queue(store, "alice", recipe())
    lease = must_claim(store)
    claims.renew(store, "here", -3_600_000)  # as after a jump of the clock
    assert claims.rescue(store, "here", frozenset({lease.token}), MAX_ATTEMPTS) == 0
    assert claims.rescue(store, "here", frozenset(), MAX_ATTEMPTS) == 1
    assert row(store, "alice", job_id).attempt == 0


def test_only_the_file_lock_tells_that_a_process_has_ended(store: Store) -> None:
    queue(store, "alice", recipe())
    alive = store.holders.enter()
    must_claim(store, alive)
    stranger = Store(store.settings)
    assert stranger.holders.dead() == []
    assert claims.rescue(stranger, "there", frozenset(), MAX_ATTEMPTS) == 0
    os.close(store.holders._locks[alive])  # what the kernel does at the end of a process
    assert stranger.holders.dead() == [alive]
    assert claims.rescue(stranger, "there", frozenset(), MAX_ATTEMPTS) == 1
    assert stranger.holders.dead() == []
    stranger.close()


def test_places_for_newcomers_go_to_owners_who_have_none_running(store: Store) -> None:
    queue(store, "alice", *[recipe(seed) for seed in range(3)])
    must_claim(store)
    with store.write() as tx:
        assert not leases.waiting(tx, newcomers=True)
        assert leases.claim(tx, "us", 30_000, newcomers=True) is None
    queue(store, "bob", recipe(), recipe(2))
    with store.write() as tx:
        assert leases.waiting(tx, newcomers=True)
        lease = leases.claim(tx, "us", 30_000, newcomers=True)
        assert lease is not None
        assert lease.owner == "bob"
        assert leases.claim(tx, "us", 30_000, newcomers=True) is None
