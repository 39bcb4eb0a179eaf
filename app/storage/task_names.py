"""The names that clients give to their requests, kept for a day among the idempotency keys, which are such names too.

A prefix that no header can carry keeps the two apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from app.storage import jobs
from app.storage.tables import idempotency_keys

PREFIX = "task\n"


def put(tx: Connection, owner: str, name: str, group_id: str) -> None:
    """Keep a name, in place of what it stood for before."""
    jobs.remember(tx, owner, PREFIX + name, "", group_id)


def group(tx: Connection, owner: str, name: str) -> str | None:
    """The group that the owner gave this name."""
    k = idempotency_keys.c
    return tx.execute(select(k.group_id).where(k.owner == owner, k.key == PREFIX + name)).scalar_one_or_none()


def of_groups(tx: Connection, owner: str, group_ids: Sequence[str]) -> dict[str, str]:
    """Names by group, for those of these groups that have one."""
    k = idempotency_keys.c
    is_name = k.key.startswith(PREFIX, autoescape=True)
    rows = tx.execute(select(k.group_id, k.key).where(k.owner == owner, k.group_id.in_(group_ids), is_name))
    return {row.group_id: row.key.removeprefix(PREFIX) for row in rows}
