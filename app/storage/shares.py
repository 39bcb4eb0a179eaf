"""Rows of share links. Only the hash of a token is kept, so the database betrays no link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from app.storage.tables import now_ms, shares


def add(tx: Connection, share_id: str, token_hash: str, image_id: str, owner: str, *, show_recipe: bool) -> None:
    """Insert the row of a new link."""
    row = {"id": share_id, "token_hash": token_hash, "image_id": image_id, "owner": owner, "show_recipe": show_recipe}
    tx.execute(insert(shares).values(**row, created_at=now_ms()))


def count(tx: Connection, image_id: str) -> int:
    """How many links lead to the image."""
    mine = (shares.c.image_id == image_id) & shares.c.revoked_at.is_(None)
    return tx.scalars(select(func.count()).select_from(shares).where(mine)).one()


def of_images(tx: Connection, image_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """The links of these images, oldest first, by image."""
    found: dict[str, list[Row[Any]]] = {image_id: [] for image_id in image_ids}
    query = select(shares).where(shares.c.image_id.in_(image_ids)).order_by(shares.c.created_at, shares.c.id)
    for row in tx.execute(query):
        found[row.image_id].append(row)
    return found


def revoke(tx: Connection, owner: str, share_id: str, token_hash: str) -> bool:
    """End the owner's link of this id or this token's hash; ending it twice is no error. False if there is none."""
    mine = (shares.c.owner == owner) & or_(shares.c.id == share_id, shares.c.token_hash == token_hash)
    if tx.execute(select(shares.c.id).where(mine)).first() is None:
        return False
    tx.execute(update(shares).where(mine, shares.c.revoked_at.is_(None)).values(revoked_at=now_ms()))
    return True
