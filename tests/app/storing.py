"""What tests of storage and services share: a store in a folder, recipes, a catalogue without a checkpoint."""

from __future__ import annotations

import base64
import hashlib
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from app.services.catalogue import Catalogue
from app.services.publish import publish
from app.services.views import Defaults
from app.settings import Settings
from app.storage import jobs, leases
from app.storage.leases import Lease
from app.storage.store import Store
from models.recipe import Recipe

DATABASE = "mezzotint.sqlite3"
LEASE_MS = 30_000


class SmallCatalogue(Catalogue):
    """Knows one checkpoint, of 64 by 64 pixels, and reads no file."""

    def default_request(self, name: str | None = None) -> Defaults:
        return Defaults(name or "embedded", 4, 5.0, 0.0, "ddim", 64, 64)


def settings(folder: Path, **changes: Any) -> Settings:
    return migrated(Settings(data=folder, **changes))


def migrated(settings: Settings) -> Settings:
    """Put an empty database there, as another start has left it: to make its tables takes longer than most tests."""
    path = settings.data / DATABASE
    if not path.exists():
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(_empty_database())
    return settings


@cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Store(Settings(data=Path(folder))).close()
        return Path(folder, DATABASE).read_bytes()


def recipe(seed: int = 7, **changes: Any) -> Recipe:
    return Recipe.model_validate({"prompt": "a lake", "seed": seed, "width": 64, "height": 64, "steps": 4, **changes})


def queue(store: Store, owner: str, *recipes: Recipe) -> list[str]:
    """Queue one job for each recipe and return their ids."""
    group = jobs.new_id()
    with store.write() as tx:
        jobs.add(tx, owner, group, recipes)
        return [row.id for row in jobs.of_group(tx, owner, group)]


def claim(store: Store, holder: str = "here") -> Lease | None:
    with store.write() as tx:
        return leases.claim(tx, holder, LEASE_MS)


def must_claim(store: Store, holder: str = "here") -> Lease:
    lease = claim(store, holder)
    assert lease is not None
    return lease


def picture_event(wanted: Recipe, fill: int = 100) -> dict[str, Any]:
    """An engine's `image` event for `wanted`, of one grey."""
    rgb = bytes([fill]) * (wanted.width * wanted.height * 3)
    return {
        "event": "image",
        "width": wanted.width,
        "height": wanted.height,
        "rgb": base64.b64encode(rgb).decode(),
        "pixel_sha256": hashlib.sha256(rgb).hexdigest(),
        "environment": {"checkpoint": wanted.checkpoint, "fingerprint": "0123456789abcdef", "version": "0.1"},
    }


def finished_image(store: Store, owner: str, seed: int = 7, **changes: Any) -> str:
    """Queue a job, finish it, and return the id of its image."""
    queue(store, owner, recipe(seed, **changes))
    lease = must_claim(store)
    time.sleep(0.002)  # images are ordered by milliseconds
    return publish(store, lease, picture_event(lease.recipe, seed % 256))
