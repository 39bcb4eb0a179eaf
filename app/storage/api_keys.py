"""Rows of API keys. Only the hash of a key is kept, so the database betrays none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from app.storage.tables import api_keys, now_ms


def add(tx: Connection, key_id: str, name: str, owner: str, key_hash: str) -> None:
    """Insert the row of a new key."""
    row = {"id": key_id, "name": name, "owner": owner, "key_hash": key_hash}
    tx.execute(insert(api_keys).values(**row, created_at=now_ms()))


def every(tx: Connection) -> Sequence[Row[Any]]:
    """All keys, the oldest first, revoked ones too."""
    return tx.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)).all()


def owner_of(tx: Connection, key_hash: str) -> str | None:
    """Whom a key that has not been revoked stands for."""
    valid = (api_keys.c.key_hash == key_hash) & api_keys.c.revoked_at.is_(None)
    return tx.execute(select(api_keys.c.owner).where(valid)).scalar_one_or_none()


def is_revoked(tx: Connection, owner: str) -> bool:
    """Whether this owner is that of a key that has been revoked."""
    ended = (api_keys.c.owner == owner) & api_keys.c.revoked_at.is_not(None)
    return tx.execute(select(api_keys.c.id).where(ended).limit(1)).first() is not None


def any_valid(tx: Connection) -> bool:
    """Whether there is a key that has not been revoked."""
    return tx.execute(select(api_keys.c.id).where(api_keys.c.revoked_at.is_(None)).limit(1)).first() is not None


def revoke(tx: Connection, name_or_id: str) -> int:
    """End the valid keys of this name or id. Returns how many."""
    named = or_(api_keys.c.id == name_or_id, api_keys.c.name == name_or_id)
    return tx.execute(
        update(api_keys).where(named, api_keys.c.revoked_at.is_(None)).values(revoked_at=now_ms())
    ).rowcount
