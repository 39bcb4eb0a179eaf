"""A queue of 1,000 jobs: how long a POST takes while they pile up, and what it costs to choose who is next."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator

from app.cli.bench import Figure, own_folder
from app.cli.local_server import LocalServer
from app.services import claims
from app.settings import Settings
from app.storage import jobs
from app.storage.store import Store
from models.recipe import Recipe

JOBS = 1000
STEPS = 150  # of each, so that hardly any is done before all are there
TURNS = 2000
OWNER = "bench"
RECIPE = Recipe(prompt="a lake", seed=1, width=256, height=256)


def measure(settings: Settings, *, quick: bool = False) -> Iterator[Figure]:
    """Post over HTTP to a server that works on them; then choose among tasks whose calls nobody answers."""
    count = JOBS // 4 if quick else JOBS
    posts, pages = _pile_up(settings, count)
    yield Figure(
        f"POST of a job while {count:,} pile up, 99th percentile", posts[len(posts) * 99 // 100], "ms", at_most=100
    )
    yield Figure("the same, median", statistics.median(posts), "ms")
    yield Figure(
        f"the page of {count:,} waiting jobs, 95th percentile", pages[len(pages) * 95 // 100], "ms", at_most=300
    )
    for tasks in (16, 64):
        yield Figure(f"choosing who shares a call, of {tasks} tasks, mean", _choosing(tasks), "us", at_most=100)
    with own_folder(settings) as own:
        store = Store(own)
        try:
            yield Figure(
                "jobs queued, each in its own transaction", count / _seconds(lambda: _insert(store, count)), "/s"
            )
            yield Figure("jobs claimed", count / _seconds(lambda: _claim(store, count)), "/s")
        finally:
            store.close()


def _pile_up(settings: Settings, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each POST, and of pages afterwards, sorted."""
    with own_folder(settings) as own, LocalServer(own) as server, server.client() as client:
        client.get("/").raise_for_status()
        asked = {"prompt": "a lake", "steps": STEPS}
        posts = [_seconds(lambda: client.post("/api/jobs", json=asked).raise_for_status()) for _ in range(count)]
        pages = [_seconds(lambda: client.get("/").raise_for_status()) for _ in range(20)]
        server.kill()
    return sorted(1000 * value for value in posts), sorted(1000 * value for value in pages)


def _choosing(count: int) -> float:
    """Microseconds of one choice among tasks of eight owners and three sizes, half of them with one row."""
    from app.engine.scheduler import Scheduler
    from app.engine.task import Asks, Task

    draw, scheduler = random.Random(1), Scheduler()
    tasks = [Task(RECIPE, print, owner=f"owner {number % 8}") for number in range(count)]
    for number, task in enumerate(tasks):
        size, rows = draw.choice((256, 384, 512)), 1 + number % 2
        task.asks = Asks(
            "Predict", ("Predict", size), rows, 16, rows * size**2 * 1e4, draw.randrange(150) * size**2 * 1e4
        )
    began = time.process_time()
    for turn in range(TURNS):
        scheduler.choose(tasks, float(turn))
    return 1e6 * (time.process_time() - began) / TURNS


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _insert(store: Store, count: int) -> None:
    for _ in range(count):
        with store.write() as tx:
            jobs.add(tx, OWNER, "group", [RECIPE])


def _claim(store: Store, count: int) -> None:
    for _ in range(count):
        if claims.claim(store, "bench", 30_000) is None:
            raise RuntimeError("the queue is empty before its end")
