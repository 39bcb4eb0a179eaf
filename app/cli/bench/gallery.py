"""A page of a gallery of 100,000 images, over HTTP: the newest, one from the middle, and what searches find."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator

import httpx2
from sqlalchemy import insert, select

from app.cli.bench import Figure, own_folder
from app.cli.local_server import LocalServer, post
from app.services import gallery
from app.settings import Settings
from app.storage import words
from app.storage.store import Store
from app.storage.tables import images, jobs
from models.recipe import Recipe

IMAGES = 100_000
LOADS = 60
THINGS = (
    "mountains",
    "hills",
    "dunes",
    "city",
    "islands",
    "lake",
    "sea",
    "river",
    "meadow",
    "flowers",
    "pines",
    "tent",
)
PROMPT_WORDS = 25
SEARCHES = {"every image": "lake", "no image": "glacier", "no image by four words": "lake sea river glacier"}
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
        found = {what: _times(client, f"/images?q={query}", loads) for what, query in SEARCHES.items()}
        pages = _pages(client, SEARCHES["no image"])
    yield _p95(f"the first page of {IMAGES:,} images, 95th percentile", newest, at_most=50)
    yield _p95(f"a page after {SKIPPED * 1000:,} of them, 95th percentile", deep, at_most=50)
    yield Figure(
        "that page over the first, medians", statistics.median(deep) / statistics.median(newest), "x", at_most=1.3
    )
    for what, times in found.items():
        yield _p95(f"a page of a search that finds {what}, 95th percentile", times, at_most=50)
    yield Figure(f"pages in which a search has looked through {IMAGES:,} images", pages, "")


def _fill(store: Store) -> str:
    """Add rows of images that belong to whoever posted the only job; return that owner."""
    made, rows = list[dict[str, object]](), list[dict[str, object]]()
    with store.write() as tx:
        owner = str(tx.execute(select(jobs.c.owner).limit(1)).scalar_one())
        job = {"owner": owner, "group_id": "many", "status": "done", "steps": 20, "hidden": True}
        image = {
            "owner": owner,
            "environment": "{}",
            "sha256": "0" * 64,
            "pixel_sha256": "0" * 64,
            "width": 256,
            "height": 256,
        }
        for at, recipe in enumerate(_recipes()):
            known = {"recipe": recipe.to_json(), "created_at": at}
            found_by = words.of_image(recipe, recipe.width, recipe.height)
            made.append({**job, **known, "id": f"j{at}"})
            rows.append({**image, **known, "id": f"i{at:06}", "job_id": f"j{at}", "words": found_by})
        tx.execute(insert(jobs), made)
        tx.execute(insert(images), rows)
    return owner


def _recipes() -> Iterator[Recipe]:
    chance = random.Random(0)
    for seed in range(IMAGES):
        prompt = " ".join(chance.choices(THINGS, k=PROMPT_WORDS))
        yield Recipe(prompt=prompt, seed=seed, width=256, height=256)


def _pages(client: httpx2.Client, query: str) -> int:
    """Follow a search that finds nothing to its end, as a program does, and count."""
    pages, before = 1, client.get(f"/api/images?q={query}").json()["next"]
    while before is not None:
        pages, before = pages + 1, client.get(f"/api/images?q={query}&before={before}").json()["next"]
    return pages


def _times(client: httpx2.Client, page: str, loads: int) -> list[float]:
    times = []
    for _ in range(loads):
        began = time.perf_counter()
        client.get(page).raise_for_status()
        times.append(1000 * (time.perf_counter() - began))
    return sorted(times)


def _p95(name: str, times: list[float], *, at_most: float | None = None) -> Figure:
    return Figure(name, times[len(times) * 95 // 100], "ms", low=times[0], high=times[-1], at_most=at_most)
