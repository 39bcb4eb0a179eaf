"""The images before and after one in the gallery, or in a search of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, tuple_

from app.services.errors import NotFound
from app.storage import images as rows
from app.storage import words
from app.storage.store import Store
from app.storage.tables import images

SEARCHED = 10_000  # images on each side: a page must not wait for what stands farther off


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Ids of the next newer and the next older image of the same owner."""

    newer: str | None
    older: str | None


def neighbours(store: Store, owner: str, image_id: str, q: str = "") -> Neighbours:
    """Find both through the index that the gallery is paged by. Raises `NotFound`.

    With `q` they are the nearest that a search for it finds, among SEARCHED on each side.
    """
    wanted = words.wanted(q)
    with store.read() as tx:
        row = rows.one(tx, owner, image_id)
        if row is None:
            raise NotFound("There is no such image.")
        here = (row.created_at, row.id)
        return Neighbours(*(_nearest(tx, owner, here, wanted, newer=newer) for newer in (True, False)))


def _nearest(tx: Connection, owner: str, here: tuple[int, str], wanted: Sequence[str], *, newer: bool) -> str | None:
    place = tuple_(images.c.created_at, images.c.id)
    order = [column if newer else column.desc() for column in (images.c.created_at, images.c.id)]
    side = (
        select(images.c.id, images.c.words)
        .where(images.c.owner == owner, images.c.deleted_at.is_(None), place > here if newer else place < here)
        .order_by(*order)
        .limit(SEARCHED if wanted else 1)
        .subquery()
    )
    holding = (side.c.words.contains(piece, autoescape=True) for piece in wanted)
    return tx.execute(select(side.c.id).where(*holding).limit(1)).scalar_one_or_none()
