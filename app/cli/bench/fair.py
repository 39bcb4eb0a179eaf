"""What a greedy user costs polite ones: the engine itself, its scheduler and its networks, without a server.

Polite users ask for a picture when they have the one before. The greedy one has asked for many at once, and never runs
out. Seconds are those of the processor where one thread computes, so that other programs do not count.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from app.cli.bench.figure import Figure
from app.cli.bench.measure import loaded, spread_figure
from app.services.catalogue import Catalogue
from app.services.request import JobRequest
from app.settings import Settings

if TYPE_CHECKING:
    from app.engine.limits import Limits
    from models.bundle import Bundle
    from models.recipe import Recipe

POLITE, PICTURES, GREED, STEPS = 8, 4, 40, 10
WANTED = 1.3


def measure(settings: Settings, *, quick: bool = False) -> Iterator[Figure]:
    """The same users without the greedy one, then with."""
    import torch

    catalogue = Catalogue(settings)
    bundle = loaded(settings, catalogue)
    recipe, *_ = JobRequest(prompt=(*catalogue.default.examples, "a lake")[0], seed=1, steps=STEPS).recipes(catalogue)
    clock = time.process_time if torch.get_num_threads() == 1 and bundle.device.type == "cpu" else time.perf_counter
    yield from beside_a_greedy_one(lambda: House(bundle, recipe, clock), 2 if quick else PICTURES)


def beside_a_greedy_one(house: Callable[[], House], pictures: int) -> Iterator[Figure]:
    """What so many pictures of each polite user take, without and with the greedy one, each time in a new house."""
    house().serve(1, 0)
    alone = house().serve(pictures, 0)
    beside = house().serve(pictures, GREED)
    yield spread_figure(f"a picture of {POLITE} polite users, median", alone, "s")
    yield spread_figure(f"the same beside a greedy one, who asked for {GREED}", beside, "s")
    ratio = _p95(beside) / _p95(alone)
    yield replace(spread_figure("95th percentile, beside / without", [ratio], "x"), at_most=WANTED)
    yield Figure("median, beside / without", statistics.median(beside) / statistics.median(alone), "x")


class House:
    """An engine with its users."""

    def __init__(
        self, bundle: Bundle, recipe: Recipe, clock: Callable[[], float], limits: Limits | None = None
    ) -> None:
        from app.engine.engine import Engine

        self._recipe, self._clock, self._seed = recipe, clock, 0
        self._engine = Engine(lambda _: bundle, limits=limits)
        self._seconds: list[float] = []
        self._failures: list[str] = []

    def serve(self, pictures: int, greed: int) -> list[float]:
        """Seconds that each picture of the polite users took. Raises `RuntimeError` where one cannot be made."""
        for _ in range(greed):
            self._ask("greedy", greed)
        for user in range(POLITE):
            self._ask(f"polite {user}", pictures)
        while len(self._seconds) < POLITE * pictures:
            self._engine.step()
            if self._failures:
                raise RuntimeError(self._failures[0])
        self._engine.close()
        return self._seconds

    def _ask(self, owner: str, left: int) -> None:
        """Ask for a picture and, once it is there, for the rest of so many."""
        from app.engine.task import Event, Failed, Finished, Task

        began, self._seed = self._clock(), self._seed + 1

        def hear(event: Event) -> None:
            if isinstance(event, Failed):
                self._failures.append(event.message)
            if not isinstance(event, Finished):
                return
            if owner != "greedy":
                self._seconds.append(self._clock() - began)
            if left > 1 or owner == "greedy":
                self._ask(owner, left - 1)

        self._engine.submit(Task(self._recipe.model_copy(update={"seed": self._seed}), hear, owner=owner))


def _p95(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) * 95 // 100]
