"""What sharing the network's calls brings: eight jobs at once against the same eight, one after another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from app.cli.bench import Figure, own_folder
from app.cli.local_server import LocalServer, post, wait
from app.engine.client import EngineClient
from app.services.catalogue import Catalogue
from app.settings import Settings

JOBS = 8
PROMPT = "a lake"


def measure(settings: Settings) -> Iterator[Figure]:
    """Time from the POST to the last picture in the database, over HTTP, each way once after a warm-up."""
    prompt = next(iter(Catalogue(settings).default.examples), PROMPT)
    with own_folder(settings) as own, LocalServer(own) as server, server.client() as client:
        wait(client, post(client, prompt=prompt, seed=1))
        began = time.perf_counter()
        for seed in range(JOBS):
            wait(client, post(client, prompt=prompt, seed=100 + seed))
        singles = time.perf_counter() - began
        before = _counters(own)
        began = time.perf_counter()
        wait(client, post(client, prompt=prompt, seed=200, count=JOBS))
        together = time.perf_counter() - began
        after = _counters(own)
    yield Figure(f"{JOBS} jobs, one after another", singles, "s")
    yield Figure(f"{JOBS} jobs, posted at once", together, "s")
    yield Figure("at once / one after another", together / singles, "x", at_most=0.75)
    calls = after["calls_total"] - before["calls_total"]
    rows = (after["rows_total"] - before["rows_total"]) / calls
    yield Figure("rows of a U-Net call meanwhile, mean", rows, "rows", at_least=8)


def _counters(settings: Settings) -> dict[str, Any]:
    status = asyncio.run(EngineClient(settings.engine_socket).status())
    counters: dict[str, Any] = status["metrics"]
    return counters
