"""Rows of jobs as their owner sees and changes them; `leases` is the side of those who carry them out."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)

from app.storage import events, references
from app.storage.tables import idempotency_keys, images, job_events, job_inputs, jobs, now_ms, previews
from models.recipe import Recipe

OPEN = ("queued", "running")
FINISHED = ("done", "failed", "cancelled")
_PENDING = select(
    func.sum(case((jobs.c.owner == bindparam("owner"), 1), else_=0)).label("mine"), func.count().label("every")
).where(jobs.c.status.in_(OPEN))


@dataclass(frozen=True, slots=True)
class Lineage:
    """The image that a job edits, and the canvas that its own image is a candidate of."""

    parent_id: str | None = None
    canvas_id: str | None = None


def new_id() -> str:
    """128 random bits, safe in a URL."""
    return secrets.token_urlsafe(16)


def add(tx: Connection, owner: str, group_id: str, recipes: Sequence[Recipe], lineage: Lineage | None = None) -> None:
    """Queue one job for each recipe, in order. The files that they name must be there."""
    origin = asdict(lineage or Lineage())
    for recipe in recipes:
        job_id = new_id()
        row = {"id": job_id, "group_id": group_id, "owner": owner, "status": "queued", "steps": recipe.steps}
        tx.execute(insert(jobs).values(**row, **origin, recipe=recipe.to_json(), created_at=now_ms()))
        references.need(tx, job_id, references.inputs_of(recipe))
        events.add(tx, job_id, owner, "queued", {"status": "queued"})


def one(tx: Connection, owner: str, job_id: str) -> Row[Any] | None:
    """The owner's job of this id."""
    return tx.execute(select(jobs).where(jobs.c.id == job_id, jobs.c.owner == owner)).one_or_none()


def parent(tx: Connection, job_id: str) -> str | None:
    """The image that a job edits, as far as it still is there."""
    parent_id: str | None = tx.execute(select(jobs.c.parent_id).where(jobs.c.id == job_id)).scalar_one()
    return parent_id


def of_group(tx: Connection, owner: str, group_id: str) -> Sequence[Row[Any]]:
    """The owner's jobs of one request, in order."""
    mine = (jobs.c.group_id == group_id) & (jobs.c.owner == owner)
    return tx.execute(select(jobs).where(mine).order_by(jobs.c.seq)).all()


def recent(tx: Connection, owner: str, limit: int) -> Sequence[Row[Any]]:
    """The owner's jobs that are not hidden, nor thrown away, newest first."""
    mine = (jobs.c.owner == owner) & jobs.c.hidden.is_(False) & jobs.c.discarded_at.is_(None)
    return tx.execute(select(jobs).where(mine).order_by(jobs.c.seq.desc()).limit(limit)).all()


def open_groups(tx: Connection, owner: str) -> list[str]:
    """The owner's requests of which a job is still open, the oldest first."""
    mine = (jobs.c.owner == owner) & jobs.c.status.in_(OPEN)
    query = select(jobs.c.group_id).where(mine).group_by(jobs.c.group_id).order_by(func.min(jobs.c.seq))
    return list(tx.execute(query).scalars())


def positions(tx: Connection, seqs: Sequence[int]) -> dict[int, int]:
    """Where queued jobs stand in line, the next to be claimed at 1, in exactly the order of `leases.claim`.

    Each job is claimed when its owner has as many jobs running as it has before it, so that sum is its turn.
    """
    return {row.seq: row.position for row in tx.execute(_line(), {"seqs": seqs})}


@cache
def _line() -> Any:
    running = _running_by_owner()
    turn = func.row_number().over(partition_by=jobs.c.owner, order_by=(jobs.c.alone.desc(), jobs.c.seq))
    queued = (
        select(jobs.c.seq, jobs.c.alone, (func.coalesce(running.c.count, 0) + turn).label("turn"))
        .outerjoin(running, running.c.owner == jobs.c.owner)
        .where(jobs.c.status == "queued")
        .subquery()
    )
    order = (queued.c.alone.desc(), queued.c.turn, queued.c.seq)
    line = select(queued.c.seq, func.row_number().over(order_by=order).label("position")).subquery()
    return select(line.c.seq, line.c.position).where(line.c.seq.in_(bindparam("seqs", expanding=True)))


def _running_by_owner() -> Any:
    return (
        select(jobs.c.owner, func.count().label("count"))
        .where(jobs.c.status == "running")
        .group_by(jobs.c.owner)
        .subquery()
    )


def pending(tx: Connection, owner: str) -> tuple[int, int]:
    """How many jobs are queued or running, of one owner and of all."""
    found = tx.execute(_PENDING, {"owner": owner}).one()
    return found.mine or 0, found.every


def counts(tx: Connection) -> dict[str, int]:
    """How many jobs there are of each status that is not final."""
    rows = tx.execute(
        select(jobs.c.status, func.count().label("number")).where(jobs.c.status.in_(OPEN)).group_by(jobs.c.status)
    )
    return dict.fromkeys(OPEN, 0) | {row.status: row.number for row in rows}


def cancel(tx: Connection, row: Row[Any]) -> bool:
    """End an open job at once; whoever runs it loses the lease. False if it had ended already.

    Its preview stays for an hour, for those who had waited for the picture.
    """
    values = {"status": "cancelled", "lease_token": None, "lease_until": None, "holder": None, "finished_at": now_ms()}
    if not _change(tx, row, jobs.c.status.in_(OPEN), values):
        return False
    events.add(tx, row.id, row.owner, "cancelled", {"status": "cancelled"})
    return True


def requeue(tx: Connection, row: Row[Any]) -> bool:
    """Queue a failed or cancelled job afresh, without its attempts. False if it has not failed."""
    values = {
        "status": "queued",
        "step": 0,
        "attempt": 0,
        "alone": False,
        "not_before": None,
        "error_code": None,
        "error_message": None,
        "finished_at": None,
        "hidden": False,
        "discarded_at": None,
    }
    if not _change(tx, row, jobs.c.status.in_(("failed", "cancelled")), values):
        return False
    events.add(tx, row.id, row.owner, "queued", {"status": "queued"})
    return True


def hide(tx: Connection, row: Row[Any]) -> bool:
    """Take a finished job off its owner's page. False if it has not finished."""
    if not _change(tx, row, jobs.c.status.in_(FINISHED), {"hidden": True}):
        return False
    events.add(tx, row.id, row.owner, "dismissed", {"status": row.status})
    return True


def hide_finished(tx: Connection, owner: str) -> int:
    """Take all finished jobs off their owner's page, in two statements however many there are. Returns how many."""
    mine = (jobs.c.owner == owner) & jobs.c.hidden.is_(False) & jobs.c.status.in_(FINISHED)
    body = literal('{"job":"') + jobs.c.id + literal('","status":"') + jobs.c.status + literal('"}')  # in any SQL
    events.add_all(tx, "dismissed", select(jobs.c.id, jobs.c.owner, body).where(mine).order_by(jobs.c.seq))
    return tx.execute(update(jobs).where(mine).values(hidden=True)).rowcount


def preview(tx: Connection, owner: str, job_id: str) -> tuple[int, bytes] | None:
    """Version and PNG of the owner's job that is running, or was until it was cancelled."""
    query = select(previews.c.version, previews.c.png).join(jobs, jobs.c.id == previews.c.job_id)
    row = tx.execute(query.where(jobs.c.id == job_id, jobs.c.owner == owner)).one_or_none()
    return None if row is None else (row.version, row.png)


def remembered(tx: Connection, owner: str, key: str, within_ms: int) -> Row[Any] | None:
    """What the owner asked for under this idempotency key of late."""
    k = idempotency_keys.c
    fresh = (k.owner == owner) & (k.key == key) & (k.created_at > now_ms() - within_ms)
    return tx.execute(select(idempotency_keys).where(fresh)).one_or_none()


def remember(tx: Connection, owner: str, key: str, body_hash: str, group_id: str) -> None:
    """Keep what an idempotency key stood for, in place of what it stood for long ago."""
    k = idempotency_keys.c
    tx.execute(delete(idempotency_keys).where(k.owner == owner, k.key == key))
    row = {"owner": owner, "key": key, "body_hash": body_hash, "group_id": group_id, "created_at": now_ms()}
    tx.execute(insert(idempotency_keys).values(**row))


def forget_keys(tx: Connection, older_than_ms: int) -> int:
    """Delete old idempotency keys. Returns how many."""
    old = idempotency_keys.c.created_at < now_ms() - older_than_ms
    return tx.execute(delete(idempotency_keys).where(old)).rowcount


def forget_previews(tx: Connection, older_than_ms: int) -> int:
    """Delete the previews of jobs that ended long ago. Returns how many."""
    old = select(jobs.c.id).where(jobs.c.finished_at < now_ms() - older_than_ms)
    return tx.execute(delete(previews).where(previews.c.job_id.in_(old))).rowcount


def forgettable(tx: Connection, older_than_ms: int, failed_before_ms: int) -> list[str]:
    """The jobs that ended and of which nothing was heard for so long, and that nobody needs any more.

    These have no picture, or none that is left, and are no candidate. What failed or was cancelled can be tried
    again from the page, so that it is needed for longer unless it was taken off there.
    """
    j, now = jobs.c, now_ms()
    is_needed = j.canvas_id.is_not(None) | exists().where(images.c.job_id == j.id)
    is_over = j.hidden | (j.status == "done") | (j.finished_at < now - failed_before_ms)
    is_quiet = j.id.not_in(select(job_events.c.job_id))
    old = j.status.in_(FINISHED) & (j.finished_at < now - older_than_ms)
    return list(tx.scalars(select(j.id).where(old, is_over, is_quiet, ~is_needed)))


def forget(tx: Connection, ids: Sequence[str]) -> None:
    """Delete jobs, prompts and all, that are `forgettable`; one that was tried again meanwhile stays."""
    ended = select(jobs.c.id).where(jobs.c.id.in_(ids), jobs.c.status.in_(FINISHED))
    for table in (previews, job_inputs, job_events):
        tx.execute(delete(table).where(table.c.job_id.in_(ended)))
    tx.execute(delete(jobs).where(jobs.c.id.in_(ended)))


def _change(tx: Connection, row: Row[Any], condition: ColumnElement[bool], values: dict[str, Any]) -> bool:
    return tx.execute(update(jobs).where(jobs.c.id == row.id, condition).values(**values)).rowcount == 1
