"""Submitting and following jobs, for their owner and for a stranger."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from app.services import generate
from app.services.errors import Conflict, DiskFull, InvalidInput, NotFound, TooMany
from app.services.generate import JobRequest
from app.services.publish import publish
from app.storage import jobs, leases
from app.storage.errors import LeaseLost
from app.storage.store import Store
from models.recipe import MAX_SEED
from tests.app.storing import SmallCatalogue, finished_image, must_claim, picture_event, queue, recipe, settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(settings(tmp_path, max_pending=10))
    yield store
    store.close()


@pytest.fixture
def catalogue(store: Store) -> SmallCatalogue:
    return SmallCatalogue(store.settings)


def ask(prompt: str = "a lake", **fields: Any) -> JobRequest:
    return JobRequest.model_validate({"prompt": prompt, **fields})


def kinds(store: Store, owner: str) -> list[str]:
    return [event.kind for event in generate.events_after(store, owner, 0)]


def test_each_image_is_a_job_with_the_next_seed(store: Store, catalogue: SmallCatalogue) -> None:
    group = generate.submit(store, catalogue, "alice", ask(count=3, seed=40, sampler="heun"))
    assert [job.recipe.seed for job in group.jobs] == [40, 41, 42]
    assert [job.position for job in group.jobs] == [1, 2, 3]
    assert {job.recipe.sampler.value for job in group.jobs} == {"heun"}
    assert generate.recent_jobs(store, "alice") == list(reversed(group.jobs))


def test_what_is_left_out_is_the_checkpoints_default(store: Store, catalogue: SmallCatalogue) -> None:
    (job,) = generate.submit(store, catalogue, "alice", ask(guidance_scale=9, width=128)).jobs
    made = job.recipe
    assert (made.steps, made.guidance_scale, made.width, made.height, made.checkpoint) == (4, 9.0, 128, 64, "embedded")


def test_seed_minus_one_draws_a_seed(store: Store, catalogue: SmallCatalogue) -> None:
    groups = [generate.submit(store, catalogue, "alice", ask(count=2)) for _ in range(3)]
    seeds = [job.recipe.seed for group in groups for job in group.jobs]
    assert len(set(seeds)) == 6
    assert max(seeds) <= 2**32


def test_the_rows_are_there_for_another_process_when_submit_returns(store: Store, catalogue: SmallCatalogue) -> None:
    generate.submit(store, catalogue, "alice", ask(count=2))
    query = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM jobs').fetchone())"
    command = [sys.executable, "-c", query, str(store.settings.data / "mezzotint.sqlite3")]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip() == "(2,)"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": "  "}, "prompt"),
        ({"prompt": "x" * 10_000}, "prompt"),
        ({"steps": 0}, "steps"),
        ({"steps": 10_000}, "steps"),
        ({"steps": float("nan")}, "steps"),
        ({"guidance_scale": float("inf")}, "guidance_scale"),
        ({"width": 100}, "width"),
        ({"height": 4096}, "height"),
        ({"sampler": "magic"}, "sampler"),
        ({"seed": "7"}, "seed"),
        ({"seed": -2}, "seed"),
        ({"count": 9}, "count"),
        ({"styel": "oil"}, "styel"),
    ],
)
def test_bad_input_names_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        ask(**fields)
    assert refusal.value.errors()[0]["loc"][0] == field


def test_a_form_may_leave_fields_empty_and_sends_text(store: Store, catalogue: SmallCatalogue) -> None:
    form = {"prompt": "a lake", "steps": "6", "seed": "9", "width": "", "guidance_scale": "3.5", "sampler": "euler"}
    (job,) = generate.submit(store, catalogue, "alice", JobRequest.from_form(form)).jobs
    made = job.recipe
    assert (made.steps, made.seed, made.width, made.guidance_scale, made.sampler) == (6, 9, 64, 3.5, "euler")


def test_a_bad_form_names_every_field() -> None:
    with pytest.raises(InvalidInput) as refusal:
        JobRequest.from_form({"prompt": "", "steps": "many", "seed": "x"})
    assert {error["field"] for error in refusal.value.errors} == {"prompt", "steps", "seed"}


def test_a_seed_whose_followers_are_too_large_is_refused(store: Store, catalogue: SmallCatalogue) -> None:
    with pytest.raises(InvalidInput, match="lower the seed or the count"):
        generate.submit(store, catalogue, "alice", ask(seed=MAX_SEED, count=2))


def test_the_same_key_and_body_give_the_same_group(store: Store, catalogue: SmallCatalogue) -> None:
    first = generate.submit(store, catalogue, "alice", ask(count=2), "key")
    again = generate.submit(store, catalogue, "alice", ask(count=2), "key")
    assert (again.id, again.jobs, again.replayed, first.replayed) == (first.id, first.jobs, True, False)
    assert generate.submit(store, catalogue, "bob", ask(count=2), "key").id != first.id


def test_the_same_key_with_another_body_is_refused(store: Store, catalogue: SmallCatalogue) -> None:
    generate.submit(store, catalogue, "alice", ask(), "key")
    with pytest.raises(InvalidInput) as refusal:
        generate.submit(store, catalogue, "alice", ask("a river"), "key")
    assert (refusal.value.status, refusal.value.field) == (422, "Idempotency-Key")
    with pytest.raises(InvalidInput, match="255"):
        generate.submit(store, catalogue, "alice", ask(), "k" * 256)


def test_a_key_is_forgotten_after_a_day(store: Store, catalogue: SmallCatalogue) -> None:
    first = generate.submit(store, catalogue, "alice", ask(), "key")
    with store.write() as tx:
        tx.execute(text("UPDATE idempotency_keys SET created_at = created_at - 86400001"))
    second = generate.submit(store, catalogue, "alice", ask("a river"), "key")
    assert second.id != first.id


def test_fifty_requests_with_one_key_at_once_make_one_job(store: Store, catalogue: SmallCatalogue) -> None:
    groups: list[str] = []

    def send() -> None:
        groups.append(generate.submit(store, catalogue, "alice", ask(), "key").id)

    threads = [threading.Thread(target=send) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(groups) == 50
    assert len(set(groups)) == 1
    assert generate.queue_counts(store)["queued"] == 1


def test_an_owner_may_have_only_so_many_pending(store: Store, catalogue: SmallCatalogue) -> None:
    generate.submit(store, catalogue, "alice", ask(count=8))
    with pytest.raises(TooMany) as refusal:
        generate.submit(store, catalogue, "alice", ask(count=3))
    assert (refusal.value.status, refusal.value.retry_after) == (429, 10)
    generate.submit(store, catalogue, "alice", ask(count=2))
    generate.submit(store, catalogue, "bob", ask())


def test_a_full_disk_is_said_before_a_job_is_accepted(
    store: Store, catalogue: SmallCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "MIN_FREE_BYTES", 2**63)
    with pytest.raises(DiskFull):
        generate.submit(store, catalogue, "alice", ask())
    assert generate.queue_counts(store)["queued"] == 0


def test_a_stranger_finds_no_job(store: Store, catalogue: SmallCatalogue) -> None:
    (job,) = generate.submit(store, catalogue, "alice", ask()).jobs
    for act in (generate.job_view, generate.cancel, generate.retry, generate.dismiss):
        with pytest.raises(NotFound):
            act(store, "charlie", job.id)
    assert generate.recent_jobs(store, "charlie") == []
    assert generate.preview(store, "charlie", job.id) is None
    assert generate.events_after(store, "charlie", 0) == []
    assert generate.clear_finished(store, "charlie") == 0
    assert generate.job_view(store, "alice", job.id).status == "queued"


def test_cancelling_takes_the_lease_from_whoever_runs_the_job(store: Store, catalogue: SmallCatalogue) -> None:
    (job,) = generate.submit(store, catalogue, "alice", ask()).jobs
    lease = must_claim(store)
    assert generate.cancel(store, "alice", job.id).status == "cancelled"
    with pytest.raises(LeaseLost):
        publish(store, lease, picture_event(lease.recipe))
    assert generate.job_view(store, "alice", job.id).image is None
    assert kinds(store, "alice") == ["queued", "running", "cancelled"]


def test_cancelling_what_has_ended_changes_nothing(store: Store) -> None:
    finished_image(store, "alice")
    (job,) = generate.recent_jobs(store, "alice")
    assert generate.cancel(store, "alice", job.id) == job
    assert kinds(store, "alice") == ["queued", "running", "done"]


def test_a_failed_job_can_be_tried_again(store: Store, catalogue: SmallCatalogue) -> None:
    (job,) = generate.submit(store, catalogue, "alice", ask()).jobs
    lease = must_claim(store)
    with store.write() as tx:
        leases.fail(tx, lease, "numerical", "not a number")
    failed = generate.job_view(store, "alice", job.id)
    assert failed.error is not None
    assert (failed.status, failed.error.code, failed.error.message) == ("failed", "numerical", "not a number")
    again = generate.retry(store, "alice", job.id)
    assert (again.status, again.attempt, again.error, again.position) == ("queued", 0, None, 1)
    with pytest.raises(Conflict, match="queued"):
        generate.retry(store, "alice", job.id)


def test_a_dismissed_card_is_gone_and_its_image_stays(store: Store, catalogue: SmallCatalogue) -> None:
    finished_image(store, "alice")
    (done,) = generate.recent_jobs(store, "alice")
    (waiting,) = generate.submit(store, catalogue, "alice", ask()).jobs
    with pytest.raises(Conflict, match="cancel it"):
        generate.dismiss(store, "alice", waiting.id)
    generate.dismiss(store, "alice", done.id)
    assert [job.id for job in generate.recent_jobs(store, "alice")] == [waiting.id]
    assert generate.job_view(store, "alice", done.id).image is not None
    generate.cancel(store, "alice", waiting.id)
    assert generate.clear_finished(store, "alice") == 1
    assert generate.recent_jobs(store, "alice") == []


def test_all_finished_cards_go_in_two_statements_and_each_is_told(store: Store) -> None:
    done = [*queue(store, "alice", recipe(), recipe()), *queue(store, "bob", recipe())]
    waiting = queue(store, "alice", recipe())
    for owner, job_id in zip(("alice", "alice", "bob"), done, strict=True):
        generate.cancel(store, owner, job_id)
    seen = generate.last_event_id(store, "alice")
    statements: list[str] = []
    with store.write() as tx:
        raw = tx.connection.dbapi_connection
        assert raw is not None
        raw.set_trace_callback(statements.append)
        assert jobs.hide_finished(tx, "alice") == 2
        raw.set_trace_callback(None)
    assert len(statements) == 2
    told = generate.events_after(store, "alice", seen)
    assert [(event.kind, event.body) for event in told] == [
        ("dismissed", {"job": job_id, "status": "cancelled"}) for job_id in done[:2]
    ]
    assert [job.id for job in generate.recent_jobs(store, "alice")] == waiting
    assert len(generate.recent_jobs(store, "bob")) == 1


def test_events_go_on_after_the_last_one_seen(store: Store, catalogue: SmallCatalogue) -> None:
    generate.submit(store, catalogue, "alice", ask())
    seen = generate.last_event_id(store, "alice")
    generate.submit(store, catalogue, "bob", ask())
    (job,) = generate.submit(store, catalogue, "alice", ask()).jobs
    (event,) = generate.events_after(store, "alice", seen)
    assert (event.kind, event.job, event.body["job"]) == ("queued", job.id, job.id)
    assert generate.events_after(store, "alice", event.id) == []


@pytest.mark.parametrize("last_id", [-5, 0, 10**9])
def test_events_that_are_no_longer_kept_are_replaced_by_a_snapshot(
    store: Store, catalogue: SmallCatalogue, last_id: int
) -> None:
    generate.submit(store, catalogue, "alice", ask(count=3))
    with store.write() as tx:
        tx.execute(text("DELETE FROM job_events WHERE id < 3"))
    (event,) = generate.events_after(store, "alice", last_id)
    assert (event.kind, event.id, event.job) == ("snapshot", 3, None)
    assert generate.events_after(store, "alice", event.id) == []
