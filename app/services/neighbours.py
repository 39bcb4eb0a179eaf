"""The images before and after one in the gallery."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, tuple_

from app.services.errors import NotFound
from app.storage import images as rows
from app.storage.store import Store
from app.storage.tables import images


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Ids of the next newer and the next older image of the same owner."""

    newer: str | None
    older: str | None


def neighbours(store: Store, owner: str, image_id: str) -> Neighbours:
    """Find both through the index that the gallery is paged by. Raises `NotFound`."""
    place = tuple_(images.c.created_at, images.c.id)
    mine = select(images.c.id).where(images.c.owner == owner, images.c.deleted_at.is_(None))
    with store.read() as tx:
        row = rows.one(tx, owner, image_id)
        if row is None:
            raise NotFound("There is no such image.")
        here = (row.created_at, row.id)
        newer = mine.where(place > here).order_by(images.c.created_at, images.c.id).limit(1)
        older = mine.where(place < here).order_by(images.c.created_at.desc(), images.c.id.desc()).limit(1)
        return Neighbours(tx.execute(newer).scalar_one_or_none(), tx.execute(older).scalar_one_or_none())
