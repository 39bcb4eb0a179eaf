"""Rows of canvases: a picture, the mask and frame on it, and all pictures that it has held."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, tuple_, update

from app.storage.tables import canvas_images, canvases, images, jobs, now_ms

WHOLE = "null"  # the frame, as JSON, that is as large as the picture


def add(tx: Connection, canvas_id: str, owner: str, image_id: str) -> None:
    """Insert the row of a new canvas that holds one picture, of which all is in the frame."""
    row = {"id": canvas_id, "owner": owner, "image_id": image_id, "frame": WHOLE, "settings": "{}"}
    tx.execute(insert(canvases).values(**row, created_at=now_ms(), updated_at=now_ms()))
    remember(tx, canvas_id, image_id)


def one(tx: Connection, owner: str, canvas_id: str) -> Row[Any] | None:
    """The owner's canvas of this id."""
    return tx.execute(select(canvases).where(canvases.c.id == canvas_id, canvases.c.owner == owner)).one_or_none()


def of_image(tx: Connection, owner: str, image_id: str) -> Row[Any] | None:
    """The owner's canvas that was used last of those which hold this picture."""
    mine = (canvases.c.owner == owner) & (canvases.c.image_id == image_id)
    return tx.execute(select(canvases).where(mine).order_by(canvases.c.updated_at.desc()).limit(1)).one_or_none()


def page(tx: Connection, owner: str, before: tuple[int, str] | None, limit: int) -> Sequence[Row[Any]]:
    """The owner's canvases, the one used last first, from the one after `before` (its time and id) on."""
    query = select(canvases).where(canvases.c.owner == owner)
    if before is not None:
        query = query.where(tuple_(canvases.c.updated_at, canvases.c.id) < before)
    return tx.execute(query.order_by(canvases.c.updated_at.desc(), canvases.c.id.desc()).limit(limit)).all()


def count(tx: Connection, owner: str) -> int:
    """How many canvases the owner has."""
    return tx.execute(select(func.count()).select_from(canvases).where(canvases.c.owner == owner)).scalar_one()


def go_with(tx: Connection, image_ids: Collection[str]) -> bool:
    """Whether a canvas holds some of these images and no other, so that it is deleted with them."""
    mine = select(canvases.c.id).where(canvases.c.image_id.in_(image_ids))
    held = ({row.id for row in history(tx, canvas)} for canvas in tx.execute(mine).scalars().all())
    return any(ids <= set(image_ids) for ids in held)


def change(tx: Connection, canvas_id: str, **values: Any) -> int:
    """Change the row and return its new version."""
    ours = update(canvases).where(canvases.c.id == canvas_id)
    changed = ours.values(version=canvases.c.version + 1, updated_at=now_ms(), **values).returning(canvases.c.version)
    version: int = tx.execute(changed).scalar_one()
    return version


def remember(tx: Connection, canvas_id: str, image_id: str) -> None:
    """Put a picture into the history, once."""
    mine = (canvas_images.c.canvas_id == canvas_id) & (canvas_images.c.image_id == image_id)
    if tx.execute(select(canvas_images.c.image_id).where(mine)).first() is None:
        tx.execute(insert(canvas_images).values(canvas_id=canvas_id, image_id=image_id, added_at=now_ms()))


def history(tx: Connection, canvas_id: str) -> Sequence[Row[Any]]:
    """The images that the canvas has held, in the order in which they came."""
    joined = select(images).join(canvas_images, canvas_images.c.image_id == images.c.id)
    mine = (canvas_images.c.canvas_id == canvas_id) & images.c.deleted_at.is_(None)
    return tx.execute(joined.where(mine).order_by(canvas_images.c.added_at, images.c.created_at)).all()


def candidates(tx: Connection, canvas_id: str) -> Sequence[Row[Any]]:
    """The jobs whose images wait to be chosen from, oldest first."""
    mine = (jobs.c.canvas_id == canvas_id) & jobs.c.discarded_at.is_(None)
    return tx.execute(select(jobs).where(mine).order_by(jobs.c.seq)).all()


def dismiss(tx: Connection, canvas_id: str, job_id: str | None) -> None:
    """Take one candidate, or all, off the canvas."""
    mine = (jobs.c.canvas_id == canvas_id) & jobs.c.discarded_at.is_(None)
    tx.execute(update(jobs).where(mine if job_id is None else mine & (jobs.c.id == job_id)).values(canvas_id=None))


def forget(tx: Connection, canvas_id: str) -> None:
    """Delete the canvas; its images stay, but for those of candidates that were thrown away."""
    tx.execute(update(jobs).where(jobs.c.canvas_id == canvas_id).values(canvas_id=None))
    tx.execute(delete(canvases).where(canvases.c.id == canvas_id))


def leave(tx: Connection, heirs: Mapping[str, str | None]) -> None:
    """Take images that are being deleted off all canvases, which fall back on their heirs or whatever they held last.

    A canvas that held nothing else is deleted.
    """
    tx.execute(delete(canvas_images).where(canvas_images.c.image_id.in_(heirs)))
    for canvas in tx.execute(select(canvases.c.id, canvases.c.image_id).where(canvases.c.image_id.in_(heirs))).all():
        left = history(tx, canvas.id)
        if not left:
            forget(tx, canvas.id)
            continue
        heir = next((row for row in left if row.id == heirs[canvas.image_id]), left[-1])
        change(tx, canvas.id, image_id=heir.id, mask_sha256=None, frame=WHOLE)
