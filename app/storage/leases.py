"""Who carries a job out, and for how long: claim, renewal, progress and end, each conditional on still holding it.

A job goes back into line when its holder dies or its engine crashes. After that it runs alone (`alone`), so that only
a job that crashes the engine by itself is ever given up, and a neighbour that shared the crash never is.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, case, delete, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from app.storage import events
from app.storage.errors import LeaseLost
from app.storage.tables import jobs, now_ms, previews
from models.recipe import Recipe

LONGEST_PAUSE_MS = 60_000
FREE = {"lease_token": None, "lease_until": None, "holder": None}


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to carry out one job, until another takes it over or its owner cancels."""

    job_id: str
    owner: str
    token: str
    attempt: int
    alone: bool
    recipe: Recipe


def waiting(tx: Connection, *, newcomers: bool = False) -> bool:
    """Whether any job could be claimed now; with `newcomers`, any of an owner who has none running."""
    mine = _of_newcomers() if newcomers else ()
    return tx.execute(select(jobs.c.seq).where(*_in_line(), *mine).limit(1)).first() is not None


def claim(
    tx: Connection, holder: str, lease_ms: int, without: Set[str] = frozenset(), *, newcomers: bool = False
) -> Lease | None:
    """Take the next job and count the attempt: of the owner with the fewest running, the oldest.

    Jobs of the checkpoints `without` are passed over, and with `newcomers` those of owners who have one running. None
    if no job waits, or if the next one or one of this holder's must run alone.
    """
    running = (
        select(jobs.c.owner, func.count().label("count"))
        .where(jobs.c.status == "running")
        .group_by(jobs.c.owner)
        .subquery()
    )
    candidate = (
        select(jobs.c.seq)
        .outerjoin(running, running.c.owner == jobs.c.owner)
        .where(*_in_line(), *_of_others(without), *(_of_newcomers() if newcomers else ()))
        .order_by(jobs.c.alone.desc(), func.coalesce(running.c.count, 0), jobs.c.seq)
        .limit(1)
        .scalar_subquery()
    )
    other = jobs.alias()
    company = (
        select(other.c.seq)
        .where(other.c.status == "running", other.c.holder == holder, or_(other.c.alone, jobs.c.alone))
        .exists()
    )
    row = tx.execute(
        update(jobs)
        .where(jobs.c.seq == candidate, jobs.c.status == "queued", ~company)
        .values(
            status="running",
            step=0,
            attempt=jobs.c.attempt + 1,
            holder=holder,
            lease_token=secrets.token_urlsafe(16),
            lease_until=now_ms() + lease_ms,
            not_before=None,
            error_code=None,
            error_message=None,
            started_at=now_ms(),
        )
        .returning(jobs)
    ).one_or_none()
    if row is None:
        return None
    events.add(tx, row.id, row.owner, "running", {"status": "running", "attempt": row.attempt})
    return _lease(row)


def renew(tx: Connection, holder: str, lease_ms: int) -> None:
    """Hold all of this holder's jobs for another while."""
    mine = (jobs.c.status == "running") & (jobs.c.holder == holder)
    tx.execute(update(jobs).where(mine).values(lease_until=now_ms() + lease_ms))


def held(tx: Connection, holder: str) -> set[str]:
    """The tokens of the leases that this holder has."""
    mine = select(jobs.c.lease_token).where(jobs.c.status == "running", jobs.c.holder == holder)
    return set(tx.execute(mine).scalars())


def progress(tx: Connection, lease: Lease, step: int, steps: int, png: bytes | None) -> None:
    """Write down how far the job is, and its newest preview if there is one. Raises `LeaseLost`."""
    values: dict[str, Any] = {"step": step, "steps": steps}
    if png is not None:
        values["preview_version"] = jobs.c.preview_version + 1
    version = _change(tx, lease, values).preview_version
    if png is not None:
        fresh = {"version": version, "png": png}
        row = insert(previews).values(job_id=lease.job_id, **fresh)
        tx.execute(row.on_conflict_do_update(index_elements=["job_id"], set_=fresh))
    events.add(tx, lease.job_id, lease.owner, "progress", {"step": step, "steps": steps, "preview_version": version})


def finish(tx: Connection, lease: Lease, image_id: str) -> None:
    """The job is done: its image's row belongs into the same transaction. Raises `LeaseLost`."""
    _end(tx, lease, {"status": "done", "step": jobs.c.steps}, "done", {"image": image_id})


def fail(tx: Connection, lease: Lease, code: str, message: str) -> None:
    """The job has failed for good. Raises `LeaseLost`."""
    values = {"status": "failed", "error_code": code, "error_message": message}
    _end(tx, lease, values, "failed", {"error": {"code": code, "message": message}})


def give_back(tx: Connection, lease: Lease) -> None:
    """Put the job back as if it had never been claimed. Raises `LeaseLost`."""
    _put_back(tx, lease, {"attempt": lease.attempt - 1})


def pause(tx: Connection, lease: Lease, wait_ms: int, code: str, message: str) -> None:
    """Put the job back for a while, saying why; the attempt does not count. Raises `LeaseLost`."""
    assert wait_ms <= LONGEST_PAUSE_MS
    why = {"error_code": code, "error_message": message}
    _put_back(tx, lease, {"attempt": lease.attempt - 1, "not_before": now_ms() + wait_ms, **why})


def crashed(tx: Connection, lease: Lease, max_attempts: int) -> bool:
    """Whoever ran the job has died: run it once more, alone, or give it up. True if given up. Raises `LeaseLost`."""
    if lease.alone and lease.attempt >= max_attempts:
        message = (
            f"The engine crashed {lease.attempt} times while it made this picture. "
            "Try a smaller size, fewer steps or another checkpoint."
        )
        fail(tx, lease, "worker_crashed", message)
        return True
    _put_back(tx, lease, {"alone": True})
    return False


def running(tx: Connection) -> list[tuple[str, Lease]]:
    """All running jobs, each with the name of its holder."""
    rows = tx.execute(select(jobs).where(jobs.c.status == "running")).all()
    return [(row.holder, _lease(row)) for row in rows]


def abandoned(tx: Connection, holder: str, known: Set[str], dead: Set[str]) -> list[tuple[str, Lease]]:
    """The running jobs, with their holders, that are nobody's.

    They are this holder's but not under a token of `known`, or of a holder in `dead`, or their lease has run out.
    """
    nobodys = case(
        (jobs.c.holder == holder, jobs.c.lease_token.not_in(known)),
        else_=or_(jobs.c.holder.in_(dead), jobs.c.lease_until < now_ms()),
    )
    rows = tx.execute(select(jobs).where(jobs.c.status == "running", nobodys)).all()
    return [(row.holder, _lease(row)) for row in rows]


def is_taken_over(tx: Connection, lease: Lease) -> bool:
    """Whether the job has been started again since, so that its lease was lost to another and not to its owner."""
    later = (jobs.c.id == lease.job_id) & (jobs.c.attempt > lease.attempt)
    return tx.execute(select(jobs.c.seq).where(later)).first() is not None


def _in_line() -> tuple[Any, ...]:
    wait_ms = jobs.c.not_before - now_ms()  # more than anybody waits: the clock has been set back
    is_due = or_(jobs.c.not_before.is_(None), wait_ms <= 0, wait_ms > LONGEST_PAUSE_MS)
    return jobs.c.status == "queued", is_due


def _of_newcomers() -> tuple[Any, ...]:
    """The condition that a job's owner has none running."""
    other = jobs.alias()
    return (~select(other.c.seq).where(other.c.status == "running", other.c.owner == jobs.c.owner).exists(),)


def _of_others(checkpoints: Set[str]) -> list[Any]:
    """Conditions that leave out the jobs of these checkpoints."""
    named = (f'"checkpoint":{json.dumps(name, ensure_ascii=False)}' for name in checkpoints)
    return [~jobs.c.recipe.contains(text, autoescape=True) for text in named]


def _lease(row: Row[Any]) -> Lease:
    recipe = Recipe.from_json(row.recipe)
    return Lease(row.id, row.owner, row.lease_token, row.attempt, row.alone, recipe)


def _change(tx: Connection, lease: Lease, values: dict[str, Any]) -> Row[Any]:
    ours = (jobs.c.id == lease.job_id) & (jobs.c.lease_token == lease.token)
    row = tx.execute(update(jobs).where(ours).values(**values).returning(jobs.c.preview_version)).one_or_none()
    if row is None:
        raise LeaseLost(f"job {lease.job_id} is no longer held under this lease")
    return row


def _put_back(tx: Connection, lease: Lease, values: dict[str, Any]) -> None:
    _change(tx, lease, {"status": "queued", "step": 0, **FREE, **values})
    events.add(tx, lease.job_id, lease.owner, "queued", {"status": "queued"})


def _end(tx: Connection, lease: Lease, values: dict[str, Any], kind: str, body: dict[str, Any]) -> None:
    _change(tx, lease, {**values, **FREE, "finished_at": now_ms()})
    tx.execute(delete(previews).where(previews.c.job_id == lease.job_id))
    events.add(tx, lease.job_id, lease.owner, kind, {"status": kind, **body})
