"""Keeps an engine running as a child process: starts it, restarts it when it dies, stops it with its parent.

Knows no torch. The child holds the other end of a pipe as its standard input and exits when that ends, so it does not
outlive a parent that was killed.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import structlog

from app.engine.child import Child, engine_command, free_socket, socket_of
from app.engine.client import EngineClient, EngineUnavailable
from app.settings import Settings

FIRST_PAUSE = 0.2  # seconds before a restart, doubled each time
LONGEST_PAUSE = 5.0
STEADY_SECONDS = 30.0  # a child that lived so long starts a new series
STOP_SECONDS = 5.0

log = structlog.get_logger()


class Supervisor:
    """Run the engine that `settings` describe while the `async with` block runs.

    Reach it with `EngineClient(supervisor.socket)`. `restarts` counts how often a child had to be replaced. `first`
    is a child that was started already.
    """

    def __init__(
        self, settings: Settings, *, first: Child | None = None, command: tuple[str, ...] | None = None
    ) -> None:
        given = command or (first.command if first else None)
        self._command = given or engine_command(settings, free_socket(settings))
        self.socket: Path = socket_of(self._command) if "--socket" in self._command else settings.engine_socket
        self.restarts = 0
        self._child = first
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child, None between two."""
        return self._child.pid if self._child and self._child.is_running else None

    async def __aenter__(self) -> Supervisor:
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        self._child = self._child or self._start()
        self._task = asyncio.create_task(self._mind())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._child is not None:
            await self._child.stop(STOP_SECONDS)

    async def wait_until_ready(self, seconds: float) -> dict[str, object]:
        """Return the engine's status once it is no longer `loading`. Raises `TimeoutError`."""
        client = EngineClient(self.socket)
        async with asyncio.timeout(seconds):
            while True:
                with suppress(EngineUnavailable):
                    status = await client.status()
                    if status["state"] != "loading":
                        return status
                await asyncio.sleep(0.05)

    def _start(self) -> Child:
        child = Child(self._command)
        log.info("the engine was started", pid=child.pid)
        return child

    async def _mind(self) -> None:
        pause = FIRST_PAUSE
        while True:
            assert self._child is not None
            began = time.monotonic()
            status = await self._child.wait()
            if time.monotonic() - began >= STEADY_SECONDS:
                pause = FIRST_PAUSE
            log.error("the engine died; it is started again", status=status, after_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            self.restarts += 1
            self._child = self._start()
