"""A page of a gallery of 100,000 images, over HTTP: the newest, and one from the middle."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import httpx2
from sqlalchemy import insert, select

from app.cli.bench import Figure, own_folder
from app.cli.local_server import LocalServer, post
from app.services import gallery
from app.settings import Settings
from app.storage.store import Store
from app.storage.tables import images, jobs
from models.recipe import Recipe

IMAGES = 100_000
LOADS = 60
RECIPE = Recipe(prompt="a lake", seed=1, width=256, height=256)
SKIPPED = 50  # pages of a thousand images


def measure(settings: Settings, *, quick: bool = False) -> Iterator[Figure]:
    """The rows have no files, which a page does not read; pictures are fetched after it."""
    loads = LOADS // 3 if quick else LOADS
    with own_folder(settings) as own, LocalServer(own) as server, server.client() as client:
        client.get("/").raise_for_status()
        post(client, prompt="a lake", steps=1)
        few = _times(client, "/images", loads)
        yield _p95("a page of a gallery of one image, 95th percentile", few)
        store = Store(own)
        try:
            owner = _fill(store)
            middle = gallery.page(store, owner, limit=60).next
            for _ in range(SKIPPED):
                middle = gallery.page(store, owner, middle, limit=1000).next
        finally:
            store.close()
        newest, deep = _times(client, "/images", loads), _times(client, f"/images?before={middle}", loads)
    yield _p95(f"the first page of {IMAGES:,} images, 95th percentile", newest, at_most=50)
    yield _p95(f"a page after {SKIPPED * 1000:,} of them, 95th percentile", deep, at_most=50)
    yield Figure(
        "that page over the first, medians", statistics.median(deep) / statistics.median(newest), "x", at_most=1.3
    )


def _fill(store: Store) -> str:
    """Add rows of images that belong to whoever posted the only job; return that owner."""
    with store.write() as tx:
        owner = str(tx.execute(select(jobs.c.owner).limit(1)).scalar_one())
        texts = {"owner": owner, "recipe": RECIPE.to_json()}
        job = {**texts, "group_id": "many", "status": "done", "steps": 20, "hidden": True}
        image = {
            **texts,
            "environment": "{}",
            "sha256": "0" * 64,
            "pixel_sha256": "0" * 64,
            "width": 256,
            "height": 256,
        }
        numbers = range(IMAGES)
        tx.execute(insert(jobs), [{**job, "id": f"j{number}", "created_at": number} for number in numbers])
        rows = [{**image, "id": f"i{number:06}", "job_id": f"j{number}", "created_at": number} for number in numbers]
        tx.execute(insert(images), rows)
    return owner


def _times(client: httpx2.Client, page: str, loads: int) -> list[float]:
    times = []
    for _ in range(loads):
        began = time.perf_counter()
        client.get(page).raise_for_status()
        times.append(1000 * (time.perf_counter() - began))
    return sorted(times)


def _p95(name: str, times: list[float], *, at_most: float | None = None) -> Figure:
    return Figure(name, times[len(times) * 95 // 100], "ms", low=times[0], high=times[-1], at_most=at_most)
