"""What a client of the A1111 dialect has set, as one JSON object an owner."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from app.storage.tables import client_options


def of(tx: Connection, owner: str) -> dict[str, Any]:
    """The owner's options; empty if none were ever set."""
    text = tx.execute(select(client_options.c.options).where(client_options.c.owner == owner)).scalar_one_or_none()
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def put(tx: Connection, owner: str, options: Mapping[str, Any]) -> None:
    """Replace the owner's options."""
    tx.execute(delete(client_options).where(client_options.c.owner == owner))
    tx.execute(insert(client_options).values(owner=owner, options=json.dumps(dict(options), sort_keys=True)))
