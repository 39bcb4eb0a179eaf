"""Eight users at once, whose sizes, steps and guidance differ, against diffusers behind a lock with the same weights.

Both sides take turns in one run, and are found to draw the same picture first. While ours works, a ninth user opens
pages; before, one user alone waits for first previews.
"""

from __future__ import annotations

import asyncio
import io
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.cli.bench import Figure, own_folder
from app.cli.bench.clients import Client, Wish, clients, watch_pages
from app.cli.bench.locked import LockedDiffusers
from app.cli.bench.measure import spread_figure
from app.cli.local_server import LocalServer, children, processor_seconds
from app.engine.client import EngineClient
from app.services.catalogue import Catalogue
from app.settings import Settings

SIZES = ((256, 256), (320, 192), (192, 320))  # pixels, for the embedded model: square, wide and tall
CLIENTS = 8
STEPS = (10, 15, 20, 25)
PREVIEWS = 9
TOLERANCE = 2  # levels of 255 in float32: the same picture, rounded in another order
QUIET_SECONDS = 12.0  # in which the engine finds out how many rows a call should have


def measure(settings: Settings, *, quick: bool = False) -> Iterator[Figure]:
    """Raises `RuntimeError` where diffusers, which the tests bring, is missing or draws something else."""
    facts = Catalogue(settings).default
    baseline = _baseline(facts.path, facts.defaults, settings.device)
    rounds, each = (1, 2) if quick else (4, 3)
    wishes = mixed(facts.examples or ["a lake"], facts.width, each)
    with own_folder(settings) as own, LocalServer(own) as server:
        bench = _Bench(server, own, baseline)
        yield from asyncio.run(bench.run(wishes, rounds=rounds, previews=3 if quick else PREVIEWS))


def mixed(prompts: Sequence[str], native: int, each: int) -> list[list[Wish]]:
    """What each client asks for, one after another: each size, number of steps and guidance scale comes up."""
    sizes = [(width * native // 256, height * native // 256) for width, height in SIZES]
    return [
        [
            Wish(
                prompt=prompts[(client + turn) % len(prompts)],
                width=sizes[(client + turn) % 3][0],
                height=sizes[(client + turn) % 3][1],
                steps=STEPS[(client + 3 * turn) % 4],
                guidance_scale=(4.0, 1.0, 7.5, 2.5)[(client // 2 + turn) % 4],
                seed=1000 * client + turn,
            )
            for turn in range(each)
        ]
        for client in range(CLIENTS)
    ]


class _Bench:
    def __init__(self, server: LocalServer, settings: Settings, baseline: LockedDiffusers) -> None:
        self._server, self._settings, self._baseline = server, settings, baseline
        self._spent = dict.fromkeys(("web", "engine", "diffusers"), 0.0)  # seconds of processor time
        self._pages: list[float] = []

    async def run(self, wishes: list[list[Wish]], *, rounds: int, previews: int) -> list[Figure]:
        async with clients(self._server.url, 1) as (user,):
            figures = [await self._same(user, wishes[0][0])]
            await asyncio.sleep(QUIET_SECONDS)
            alone = [await user.first_preview(_again(wishes[0][0], 90_000 + turn)) for turn in range(previews)]
        figures.append(spread_figure("first preview, nobody else there", [1000 * s for s in alone], "ms", at_most=150))
        async with clients(self._server.url, CLIENTS + 1) as (watcher, *users):
            before = await self._counters()
            ours, theirs = list[float](), list[float]()
            for turn in range(rounds):
                fresh = [[_again(wish, wish.seed + 10 * turn) for wish in line] for line in wishes]
                for side in ("ours", "theirs") if turn % 2 == 0 else ("theirs", "ours"):
                    if side == "ours":
                        ours.append(await self._ours(users, fresh, watcher))
                    else:
                        theirs.append(await self._theirs(fresh))
            after = await self._counters()
        pictures = sum(map(len, wishes))
        return [*figures, *self._rates(ours, theirs, pictures), *self._insides(rounds * pictures, before, after)]

    async def _same(self, user: Client, wish: Wish) -> Figure:
        """Whether both draw the same picture; this also warms both up."""
        from PIL import Image

        job_id = await user.ask(wish)
        await user.until(job_id, "done")
        image = (await user.http.get(f"/api/jobs/{job_id}")).json()["image"]
        png = (await user.http.get(image["url"])).content
        mine = Image.open(io.BytesIO(png)).convert("RGB").tobytes()
        other = await asyncio.to_thread(self._baseline.picture, wish)
        apart = max(abs(a - b) for a, b in zip(mine, other, strict=True))
        most = TOLERANCE if self._settings.device in ("auto", "cpu") else 40
        if apart > most:
            raise RuntimeError(f"diffusers' picture is {apart} levels away: no timing counts")
        return Figure("a picture of the server and of diffusers, at most apart", apart, "levels", at_most=most)

    async def _ours(self, users: list[Client], wishes: list[list[Wish]], watcher: Client) -> float:
        before = self._processor_times()
        watching = asyncio.create_task(watch_pages(watcher, self._pages))
        began = time.perf_counter()
        await asyncio.gather(*(_all(user, line) for user, line in zip(users, wishes, strict=True)))
        seconds = time.perf_counter() - began
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        for name, spent in self._processor_times().items():
            self._spent[name] += spent - before[name]
        return seconds

    async def _theirs(self, wishes: list[list[Wish]]) -> float:
        before = time.process_time()
        seconds = await asyncio.to_thread(self._baseline.serve, wishes)
        self._spent["diffusers"] += time.process_time() - before
        return seconds

    def _processor_times(self) -> dict[str, float]:
        (engine,) = children(self._server.pid)
        return {"web": processor_seconds(self._server.pid), "engine": processor_seconds(engine)}

    async def _counters(self) -> dict[str, Any]:
        counters: dict[str, Any] = (await EngineClient(self._settings.engine_socket).status())["metrics"]
        return counters

    def _rates(self, ours: list[float], theirs: list[float], pictures: int) -> Iterator[Figure]:
        yield spread_figure(f"{CLIENTS} mixed clients, ours", [pictures / s for s in ours], "pictures/s")
        yield spread_figure("the same, diffusers behind a lock", [pictures / s for s in theirs], "pictures/s")
        ratios = [other / mine for mine, other in zip(ours, theirs, strict=True)]
        yield replace(spread_figure("throughput, ours over theirs", ratios, "x"), at_least=1.8)

    def _insides(self, pictures: int, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Figure]:
        for name, seconds in self._spent.items():
            yield Figure(f"processor time of a picture, {name}", seconds / pictures, "s")
        own = self._spent["web"] + self._spent["engine"]
        yield Figure("processor time, theirs over ours", self._spent["diffusers"] / own, "x")
        grown = {name: after[name] - before.get(name, 0) for name in ("rows_total", "padding_total", "calls_total")}
        calls = max(1, grown["calls_total"])
        yield Figure("rows of a U-Net call, mean", grown["rows_total"] / calls, "rows")
        yield Figure("rows asked for equal bits only, mean", grown["padding_total"] / calls, "rows")
        pages = sorted(1000 * seconds for seconds in self._pages)
        yield Figure("a page while the U-Net runs, median", statistics.median(pages), "ms")
        yield Figure("a page while the U-Net runs, 95th percentile", pages[len(pages) * 95 // 100], "ms", at_most=50)


async def _all(user: Client, wishes: Sequence[Wish]) -> list[float]:
    return [await user.picture(wish) for wish in wishes]


def _again(wish: Wish, seed: int) -> Wish:
    return Wish(wish.prompt, wish.width, wish.height, wish.steps, wish.guidance_scale, seed)


def _baseline(path: str, defaults: dict[str, Any], device: str) -> LockedDiffusers:
    try:
        return LockedDiffusers(Path(path), defaults, device)
    except ImportError as error:
        raise RuntimeError(
            "it compares with diffusers, which the tests bring: python3 -m app test --version"
        ) from error
