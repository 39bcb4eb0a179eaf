"""Candidates that are thrown away: at once nowhere to be seen, for a while to be brought back, then deleted."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row

from app.services import canvas
from app.services.errors import NotFound
from app.services.views import CanvasView
from app.storage import canvases, discards, images, jobs
from app.storage.store import Store


def discard(store: Store, owner: str, canvas_id: str, job_id: str, version: int | None = None) -> CanvasView:
    """Throw a candidate away with its picture; one that is not done is cancelled.

    A picture that is on a canvas of its own stays there, and in the gallery.
    """

    def apply(tx: Connection, row: Row[Any]) -> None:
        job = next((job for job in canvases.candidates(tx, row.id) if job.id == job_id), None)
        if job is None:
            raise NotFound("This canvas has no such candidate.")
        jobs.cancel(tx, job)
        discards.add(tx, job_id)
        canvases.change(tx, row.id)

    return canvas.changed(store, owner, canvas_id, version, apply)


def restore(store: Store, owner: str, canvas_id: str, job_id: str, version: int | None = None) -> CanvasView:
    """Bring a candidate back that was thrown away, cancelled if it was not done."""

    def apply(tx: Connection, row: Row[Any]) -> None:
        if not discards.remove(tx, row.id, job_id):
            raise NotFound("This candidate was discarded too long ago; it is gone.")
        canvases.change(tx, row.id)

    return canvas.changed(store, owner, canvas_id, version, apply)


def settle(store: Store) -> None:
    """Mark deleted for good what nobody has brought back in time."""
    with store.write() as tx:
        rows = discards.old(tx, canvas.RESTORABLE_MS)
        images.bury(tx, [row for row in rows if row.id is not None])
        discards.settle(tx, [row.job for row in rows])
