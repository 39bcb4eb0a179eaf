"""API keys: made and revoked by whoever runs the server, shown once, kept as a hash.

A key is 256 random bits, so a plain SHA-256 of it is as good as a slow hash, and finding it by its hash tells a guesser
nothing through time.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from app.services.errors import InvalidInput, NotFound
from app.services.views import utc
from app.storage import api_keys, jobs
from app.storage.store import Store

LOCAL = "local"  # the owner of what programs ask for without a key, on a server that only this machine reaches
KEY_BYTES = 32
MAX_NAME = 80
OWNER_PREFIX = "key:"
PREFIX = "mz_"


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as its maker sees it later: everything but the key."""

    id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None


def create(store: Store, name: str) -> str:
    """Make a key with a gallery and a queue of its own, and return it; it cannot be shown again.

    Raises `InvalidInput` for a name that is empty, too long or in use.
    """
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise _wrong(f"A name has 1 to {MAX_NAME} printable characters.")
    key, key_id = PREFIX + secrets.token_urlsafe(KEY_BYTES), jobs.new_id()
    with store.write() as tx:
        if any(row.name == name and row.revoked_at is None for row in api_keys.every(tx)):
            raise _wrong(f"There is a key named {name!r} already; choose another name, or revoke it first.")
        api_keys.add(tx, key_id, name, OWNER_PREFIX + key_id, _hash(key))
    return key


def every(store: Store) -> list[KeyView]:
    """All keys, the oldest first, revoked ones too."""
    with store.read() as tx:
        rows = api_keys.every(tx)
    return [
        KeyView(row.id, row.name, utc(row.created_at), None if row.revoked_at is None else utc(row.revoked_at))
        for row in rows
    ]


def revoke(store: Store, name_or_id: str) -> None:
    """End a key at once; its pictures stay. Raises `NotFound`."""
    with store.write() as tx:
        if not api_keys.revoke(tx, name_or_id):
            raise NotFound(f"There is no valid key {name_or_id!r}; `keys list` shows them.")


def owner_of(store: Store, key: str) -> str | None:
    """Whom a key stands for, None if it was never made or has been revoked."""
    with store.read() as tx:
        return api_keys.owner_of(tx, _hash(key))


def has_ended(store: Store, owner: str) -> bool:
    """Whether an owner is a key that has been revoked."""
    if not owner.startswith(OWNER_PREFIX):
        return False
    with store.read() as tx:
        return api_keys.is_revoked(tx, owner)


def are_in_use(store: Store) -> bool:
    """Whether any key is valid: from then on a wrong one is refused, also where none is needed."""
    with store.read() as tx:
        return api_keys.any_valid(tx)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _wrong(message: str) -> InvalidInput:
    return InvalidInput([{"field": "name", "message": message}])
