"""The database: how fast jobs come in and are claimed, and whether a large gallery is slow."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

from sqlalchemy import insert

from app.cli.bench import Figure, own_folder
from app.services import claims, gallery
from app.settings import Settings
from app.storage import jobs
from app.storage.store import Store
from app.storage.tables import images
from app.storage.tables import jobs as job_rows
from models.recipe import Recipe

JOBS = 1000
IMAGES = 100_000
PAGES = 50
OWNER = "bench"
RECIPE = Recipe(prompt="a lake", seed=1, width=256, height=256)


def measure(settings: Settings) -> Iterator[Figure]:
    """Each insert and each claim is a transaction of its own; inserts wait for the disk."""
    with own_folder(settings) as own:
        store = Store(own)
        try:
            yield Figure("jobs queued", JOBS / _seconds(lambda: _insert(store)), "/s")
            yield Figure("jobs claimed", JOBS / _seconds(lambda: _claim(store)), "/s")
            _fill(store)
            yield Figure(f"first page of {IMAGES:,} images, median", _page_ms(store, None), "ms")
            middle = gallery.page(store, OWNER, limit=60).next
            for _ in range(PAGES):
                middle = gallery.page(store, OWNER, middle, limit=1000).next
            yield Figure(f"a page after {PAGES * 1000:,} of them, median", _page_ms(store, middle), "ms")
        finally:
            store.close()


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _insert(store: Store) -> None:
    for _ in range(JOBS):
        with store.write() as tx:
            jobs.add(tx, OWNER, "group", [RECIPE])


def _claim(store: Store) -> None:
    for _ in range(JOBS):
        if claims.claim(store, "bench", 30_000) is None:
            raise RuntimeError("the queue is empty before its end")


def _fill(store: Store) -> None:
    texts = {"owner": OWNER, "recipe": RECIPE.to_json()}
    job = {**texts, "group_id": "many", "status": "done", "steps": 20}
    image = {**texts, "environment": "{}", "sha256": "0" * 64, "pixel_sha256": "0" * 64, "width": 256, "height": 256}
    with store.write() as tx:
        numbers = range(IMAGES)
        tx.execute(insert(job_rows), [{**job, "id": f"j{number}", "created_at": number} for number in numbers])
        rows = [{**image, "id": f"i{number:06}", "job_id": f"j{number}", "created_at": number} for number in numbers]
        tx.execute(insert(images), rows)


def _page_ms(store: Store, before: str | None) -> float:
    return statistics.median(1000 * _seconds(lambda: _read(store, before)) for _ in range(20))


def _read(store: Store, before: str | None) -> None:
    gallery.page(store, OWNER, before)
