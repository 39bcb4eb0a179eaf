"""Keeps an engine running as a child process: starts it, restarts it when it dies, stops it with its parent.

Knows no torch. The child holds the other end of a pipe as its standard input and exits when that ends, so it does not
outlive a parent that was killed.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import structlog

from app.engine.client import EngineClient, EngineUnavailable
from app.settings import Settings

FIRST_PAUSE = 0.2  # seconds before a restart, doubled each time
LONGEST_PAUSE = 5.0
STEADY_SECONDS = 30.0  # a child that lived so long starts a new series
STOP_SECONDS = 5.0

log = structlog.get_logger()


class Supervisor:
    """Run the engine that `settings` describe while the `async with` block runs.

    Reach it with `EngineClient(supervisor.socket)`. `restarts` counts how often a child had to be replaced.
    """

    def __init__(self, settings: Settings, *, command: tuple[str, ...] | None = None) -> None:
        self.socket: Path = settings.engine_socket
        self.restarts = 0
        self._command = command or engine_command(settings)
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child, None between two."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def __aenter__(self) -> Supervisor:
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        await self._start()
        self._task = asyncio.create_task(self._mind())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._stop()

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

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, start_new_session=True)
        log.info("the engine was started", pid=self._process.pid)

    async def _mind(self) -> None:
        pause = FIRST_PAUSE
        while True:
            assert self._process is not None
            began = time.monotonic()
            status = await self._process.wait()
            if time.monotonic() - began >= STEADY_SECONDS:
                pause = FIRST_PAUSE
            log.error("the engine died; it is started again", status=status, after_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            self.restarts += 1
            await self._start()

    async def _stop(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.stdin is not None:
            process.stdin.close()
            with suppress(ConnectionError):
                await process.stdin.wait_closed()


def engine_command(settings: Settings) -> tuple[str, ...]:
    """The command line of the engine that these settings describe."""
    flags = {
        "--socket": str(settings.engine_socket),
        "--checkpoint": settings.checkpoint,
        "--device": settings.device,
        "--dtype": settings.dtype,
    }
    given = (part for flag, value in flags.items() for part in (flag, value))
    return (sys.executable, "-m", "app.engine.server", *given, "--stop-with-stdin")
