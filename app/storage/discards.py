"""Rows of candidates that were thrown away. They keep their canvas, and their images are marked deleted, until they are
brought back or it is too late for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, exists, select, update

from app.storage.tables import canvas_images, images, jobs, now_ms


def add(tx: Connection, job_id: str) -> None:
    """Throw a candidate away, and its image, unless that is on a canvas of its own."""
    tx.execute(update(jobs).where(jobs.c.id == job_id).values(discarded_at=now_ms()))
    theirs = (images.c.job_id == job_id) & images.c.deleted_at.is_(None)
    is_held = exists().where(canvas_images.c.image_id == images.c.id)
    tx.execute(update(images).where(theirs, ~is_held).values(deleted_at=now_ms()))


def remove(tx: Connection, canvas_id: str, job_id: str) -> bool:
    """Bring a candidate back as it was. False if this canvas has thrown no such one away."""
    mine = (jobs.c.id == job_id) & (jobs.c.canvas_id == canvas_id) & jobs.c.discarded_at.is_not(None)
    if tx.execute(update(jobs).where(mine).values(discarded_at=None)).rowcount == 0:
        return False
    tx.execute(update(images).where(images.c.job_id == job_id).values(deleted_at=None))
    return True


def of_canvas(tx: Connection, canvas_id: str, within_ms: int) -> list[str]:
    """The jobs of candidates that were thrown away of late, the last one last."""
    late = (jobs.c.canvas_id == canvas_id) & (jobs.c.discarded_at > now_ms() - within_ms)
    return list(tx.scalars(select(jobs.c.id).where(late).order_by(jobs.c.discarded_at, jobs.c.seq)))


def old(tx: Connection, older_than_ms: int) -> Sequence[Row[Any]]:
    """The images of candidates that were thrown away so long ago, with `job`, the id of each one's job.

    Those without an image, or with one that has stayed, have no `id`.
    """
    theirs = (images.c.job_id == jobs.c.id) & images.c.deleted_at.is_not(None)
    query = select(jobs.c.id.label("job"), images).outerjoin(images, theirs)
    return tx.execute(query.where(jobs.c.discarded_at <= now_ms() - older_than_ms)).all()


def settle(tx: Connection, job_ids: Sequence[str]) -> None:
    """Take candidates that were thrown away off their canvases for good, and their cards off the page."""
    tx.execute(update(jobs).where(jobs.c.id.in_(job_ids)).values(canvas_id=None, discarded_at=None, hidden=True))
