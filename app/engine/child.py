"""The engine's process, seen by its parent. Imports little, so that it can be started before the web is imported."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from contextlib import suppress

from app.places import EMBEDDED, default_place
from app.settings import Settings


class Child:
    """A process that was started with a pipe to us as its standard input, which it takes the end of for its own."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    async def wait(self) -> int:
        """Return the exit status once it has ended; negative is the number of the signal that ended it."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[int] = loop.create_future()

        def tell(status: int) -> None:
            if not ended.done():
                ended.set_result(status)

        def watch() -> None:
            status = self._process.wait()
            self._close_stdin()
            with suppress(RuntimeError):  # the loop is closed, so nobody waits any more
                loop.call_soon_threadsafe(tell, status)

        threading.Thread(target=watch, name="child", daemon=True).start()
        return await ended

    async def stop(self, seconds: float) -> None:
        """Ask it to end, and make it after so many seconds."""
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(), seconds)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self.wait()

    def _close_stdin(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)


def start_engine(settings: Settings) -> Child:
    """Start the engine that these settings describe."""
    return Child(engine_command(settings))


def engine_command(settings: Settings) -> tuple[str, ...]:
    """The command line of the engine that these settings describe."""
    place = default_place(settings)
    flags = {
        "--socket": str(settings.engine_socket),
        "--checkpoint": f"{place[0]}={place[1].absolute()}" if place else EMBEDDED,
        "--checkpoint-memory": str(settings.checkpoint_memory),
        "--device": settings.device,
        "--dtype": settings.dtype,
    }
    given = (part for flag, value in flags.items() for part in (flag, value))
    return (sys.executable, "-m", "app.engine.server", *given, "--stop-with-stdin")
