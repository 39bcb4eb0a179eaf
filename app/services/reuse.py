"""The picture of a job that its owner has had before: equal recipe, equal checkpoint, equal machine, so equal pixels.

Only an owner's own pictures are looked at, so that neither what comes nor how soon tells of what others have asked for.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from app.metadata.read import read_recipe
from app.storage import images, jobs, leases
from app.storage.images import NewImage
from app.storage.leases import Lease
from app.storage.store import Store

FACTS = ("device", "dtype", "torch")  # of the engine, as its status tells them
NOT_COMPILED = {"state": "off"}


def environment(status: Mapping[str, Any], checkpoint: str) -> dict[str, str] | None:
    """What a picture of this checkpoint would say of where it was made, None while the engine does not tell."""
    found = {entry["name"]: entry.get("fingerprint") for entry in status.get("checkpoints", ())}
    facts = {name: status.get(name) for name in FACTS} | {"fingerprint": found.get(checkpoint)}
    if not all(facts.values()):
        return None
    is_eager = status.get("compile", NOT_COMPILED) == NOT_COMPILED
    return {name: str(value) for name, value in facts.items()} | ({"compiled": "no"} if is_eager else {})


def reuse(store: Store, lease: Lease, wanted: Mapping[str, str]) -> str | None:
    """Give the job the picture of an equal one, and return the new image's id; None if there is no such picture.

    Its file must say the whole recipe, since what files say can be switched off. Raises `LeaseLost`.
    """
    if not store.settings.prompt_in_files:
        return None
    with store.read() as tx:
        rows = images.of_recipe(tx, lease.owner, lease.recipe)
    for row in rows:
        made_in = json.loads(row.environment)
        told = {"compiled": "no"} | made_in
        if all(told.get(name) == value for name, value in wanted.items()) and _says_all(store, row.sha256, lease):
            return _publish(store, lease, row, made_in)
    return None


def _says_all(store: Store, sha256: str, lease: Lease) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return read_recipe(store.files.find(sha256).read_bytes()) == lease.recipe
    return False


def _publish(store: Store, lease: Lease, row: Any, made_in: dict[str, Any]) -> str | None:
    same = {name: getattr(row, name) for name in ("owner", "sha256", "pixel_sha256", "width", "height")}
    image_id = jobs.new_id()
    with store.write() as tx:
        if not store.files.has(row.sha256):  # deleted since; nobody can delete it now
            return None
        leases.finish(tx, lease, image_id)
        parent_id = jobs.parent(tx, lease.job_id)
        images.add(
            tx,
            NewImage(
                id=image_id, job_id=lease.job_id, recipe=lease.recipe, environment=made_in, parent_id=parent_id, **same
            ),
        )
    return image_id
