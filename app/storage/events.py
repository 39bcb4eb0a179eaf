"""What happened to jobs, as rows that any web server can replay from any point."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, literal, select

from app.storage.tables import job_events, now_ms


def add(tx: Connection, job_id: str, owner: str, kind: str, body: Mapping[str, Any]) -> None:
    """Append one event; `body` always names its job."""
    text = json.dumps({"job": job_id, **body}, separators=(",", ":"))
    tx.execute(insert(job_events).values(job_id=job_id, owner=owner, kind=kind, body=text, created_at=now_ms()))


def add_all(tx: Connection, kind: str, source: Select[Any]) -> None:
    """Append one event of this kind for each row of `source`: a job's id, its owner, the body."""
    columns = ("job_id", "owner", "body", "kind", "created_at")
    rows = source.add_columns(literal(kind), now_ms())
    tx.execute(insert(job_events).from_select(columns, rows))


def after(tx: Connection, owner: str, last_id: int, limit: int) -> Sequence[Row[Any]]:
    """The owner's events that follow `last_id`, oldest first."""
    mine = (job_events.c.owner == owner) & (job_events.c.id > last_id)
    return tx.execute(select(job_events).where(mine).order_by(job_events.c.id).limit(limit)).all()


def span(tx: Connection) -> tuple[int, int]:
    """The first and the last id that are kept, of all owners; (1, 0) before the first event."""
    first, last = tx.execute(select(func.min(job_events.c.id), func.max(job_events.c.id))).one()
    return (1, 0) if last is None else (first, last)


def forget(tx: Connection, older_than_ms: int) -> int:
    """Delete old events but for the newest, which tells how far the ids have come. Returns how many."""
    newest = select(func.max(job_events.c.id)).scalar_subquery()
    old = job_events.c.created_at < now_ms() - older_than_ms
    return tx.execute(delete(job_events).where(old, job_events.c.id < newest)).rowcount
