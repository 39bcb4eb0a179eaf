"""A store, a fake engine and a dispatcher between them, and how to wait for what they do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from app.engine.client import EngineClient, EngineUnavailable
from app.services import gallery, generate
from app.services.dispatch import Dispatcher
from app.services.signal import Signal
from app.services.views import JobView
from app.storage.store import Store
from models.recipe import Recipe
from tests.app.fake_engine import FakeEngine, pixel_sha256
from tests.app.storing import settings

PATIENCE_SECONDS = 30.0


class House:
    """A store and what is needed to dispatch from it."""

    def __init__(self, folder: Path, engine: FakeEngine, **changes: Any) -> None:
        self.settings = settings(folder, **changes)
        self.wake = Signal()
        self.store = Store(self.settings, on_change=self.wake.notify)
        self.engine = engine
        self.dispatcher = Dispatcher(self.store, EngineClient(engine.socket), self.settings, self.wake)

    def jobs(self, owner: str = "alice") -> list[JobView]:
        return list(reversed(generate.recent_jobs(self.store, owner)))

    def statuses(self, owner: str = "alice") -> list[str]:
        return [job.status for job in self.jobs(owner)]

    def while_dispatching(self, *acts: Callable[[], Awaitable[None]]) -> None:
        """Run the dispatcher until all `acts`, one after another, have ended."""

        async def live() -> None:
            running = asyncio.create_task(self.dispatcher.run())
            try:
                for act in acts:
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await act()
                assert not running.done()
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await running

        asyncio.run(live())

    async def hurry(self) -> None:
        """Let the engine take no time for the steps that follow."""
        self.engine.step_delay = 0.0

    def until(self, is_true: Callable[[], bool]) -> Callable[[], Awaitable[None]]:
        async def wait() -> None:
            while not is_true():
                await asyncio.sleep(0.01)

        return wait

    def until_all_are(self, *statuses: str, owner: str = "alice") -> Callable[[], Awaitable[None]]:
        return self.until(lambda: all(status in statuses for status in self.statuses(owner)))

    def assert_each_done_once(self, owner: str = "alice") -> None:
        views = self.jobs(owner)
        images = [job.image for job in views]
        assert [image and image.pixel_sha256 for image in images] == [pixel_sha256(job.recipe) for job in views]
        assert len(gallery.page(self.store, owner).images) == len(views)
        for image in images:
            assert image is not None
            assert gallery.image_file(self.store, owner, image.id).is_file()


class PoisonedEngine:
    """An engine that dies, with all that it works on, of one seed."""

    def __init__(self, poison: int) -> None:
        self._poison = poison
        self._deaths = asyncio.Event()
        self.runs: list[int] = []

    async def status(self) -> dict[str, Any]:
        return {"state": "ready"}

    async def generate(
        self,
        recipe: Recipe,
        inputs: Mapping[str, bytes] = MappingProxyType({}),  # noqa: ARG002, it paints all black
        owner: str = "",  # noqa: ARG002
    ) -> AsyncGenerator[dict[str, Any], None]:
        wanted = recipe
        death, self.runs = self._deaths, [*self.runs, wanted.seed]
        yield {"event": "started"}
        if wanted.seed == self._poison:
            await asyncio.sleep(0.05)
            self._deaths = asyncio.Event()
            death.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(death.wait(), 0.2)
            raise EngineUnavailable("the engine died")
        rgb = bytes(wanted.width * wanted.height * 3)
        picture = {"rgb": base64.b64encode(rgb).decode(), "pixel_sha256": hashlib.sha256(rgb).hexdigest()}
        yield {"event": "image", "width": wanted.width, "height": wanted.height, "environment": {}, **picture}
