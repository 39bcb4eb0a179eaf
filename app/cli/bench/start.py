"""How long somebody waits who has just typed the command."""

from __future__ import annotations

import time
from collections.abc import Iterator

from app.cli.bench import Figure, own_folder
from app.cli.local_server import LocalServer, post, wait
from app.services.catalogue import Catalogue
from app.settings import Settings

PROMPT = "a lake"
STARTS = 3


def measure(settings: Settings, *, quick: bool = False) -> Iterator[Figure]:
    """The first start makes the database; the best of the later ones is what stays."""
    prompt = next(iter(Catalogue(settings).default.examples), PROMPT)
    with own_folder(settings) as own:
        pages, pictures = zip(*(_once(own, prompt) for _ in range(2 if quick else STARTS)), strict=True)
    yield Figure("page, first start on an empty data folder", pages[0], "s")
    yield Figure(f"page, best of {len(pages) - 1} later starts", min(pages[1:]), "s", at_most=1)
    yield Figure(f"first picture, best of {len(pictures)}", min(pictures), "s", at_most=4)


def _once(settings: Settings, prompt: str) -> tuple[float, float]:
    began = time.perf_counter()
    with LocalServer(settings) as server, server.client() as client:
        client.get("/").raise_for_status()
        page = time.perf_counter() - began
        wait(client, post(client, prompt=prompt, seed=1))
        return page, time.perf_counter() - began
