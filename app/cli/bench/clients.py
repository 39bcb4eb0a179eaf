"""Clients of a server, as browsers are: each follows its jobs by an event stream and asks for nothing in between."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

PATIENCE_SECONDS = 300.0
PAGES = ("/", "/images")
BETWEEN_PAGES = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Wish:
    """What one client asks for."""

    prompt: str
    width: int
    height: int
    steps: int
    guidance_scale: float
    seed: int

    @property
    def request(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Client:
    """One browser: an owner of its own, with its event stream."""

    def __init__(self, url: str) -> None:
        self.http = httpx2.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS)
        self._heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Get the cookie, then listen from now on."""
        (await self.http.get("/")).raise_for_status()
        listening = asyncio.Event()
        self._follower = asyncio.create_task(self._follow(listening))
        await listening.wait()

    async def stop(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        await self.http.aclose()

    async def ask(self, wish: Wish) -> str:
        """Ask for one picture; return the job's id."""
        answer = await self.http.post("/api/jobs", json=wish.request)
        answer.raise_for_status()
        return str(answer.json()["jobs"][0]["id"])

    async def until(self, job_id: str, kind: str) -> None:
        """Wait for the first event of this kind. Raises `RuntimeError` if the job fails."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                job, heard = await self._heard.get()
                if job == job_id and heard == kind:
                    return
                if job == job_id and heard in ("failed", "cancelled"):
                    raise RuntimeError(f"job {job_id} {heard}")

    async def picture(self, wish: Wish) -> float:
        """Ask for a picture and wait for it; return the seconds that it took."""
        began = time.perf_counter()
        await self.until(await self.ask(wish), "done")
        return time.perf_counter() - began

    async def first_preview(self, wish: Wish) -> float:
        """Seconds from asking to the bytes of the first preview; the picture is waited for, too."""
        began = time.perf_counter()
        job_id = await self.ask(wish)
        while True:
            await self.until(job_id, "progress")
            answer = await self.http.get(f"/jobs/{job_id}/preview.png", follow_redirects=False)
            if answer.status_code == 200:
                break
        seconds = time.perf_counter() - began
        await self.until(job_id, "done")
        return seconds

    async def _follow(self, listening: asyncio.Event) -> None:
        async with self.http.stream("GET", "/api/events") as stream:
            kind = ""
            async for line in stream.aiter_lines():
                listening.set()
                if line.startswith("event:"):
                    kind = line.removeprefix("event:").strip()
                elif line.startswith("data:") and kind not in ("snapshot", "bye"):
                    self._heard.put_nowait((json.loads(line.removeprefix("data:"))["job"], kind))


@asynccontextmanager
async def clients(url: str, count: int) -> AsyncIterator[list[Client]]:
    """So many browsers, each a stranger to the others."""
    found = [Client(url) for _ in range(count)]
    try:
        for client in found:
            await client.start()
        yield found
    finally:
        await asyncio.gather(*(client.stop() for client in found))


async def watch_pages(client: Client, times: list[float], pages: Sequence[str] = PAGES) -> None:
    """Open pages in turn until cancelled, noting the seconds that each takes."""
    while True:
        for page in pages:
            began = time.perf_counter()
            (await client.http.get(page)).raise_for_status()
            times.append(time.perf_counter() - began)
            await asyncio.sleep(BETWEEN_PAGES)
