"""The engine's process, seen by its parent. Imports little, so that it can be started before the web is imported."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from app.engine.address import address
from app.places import EMBEDDED, default_place
from app.settings import Settings


class Child:
    """A process that was started with a pipe to us as its standard input, which it takes the end of for its own."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self.command = command
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
    return Child(engine_command(settings, free_socket(settings)))


def free_socket(settings: Settings) -> Path:
    """The engine's usual socket or, where the engine of another server answers at that, one of this process.

    Sockets that killed servers have left are removed.
    """
    for left in settings.data.glob(f"{settings.engine_socket.stem}-*{settings.engine_socket.suffix}"):
        if not _answers(left):
            left.unlink(missing_ok=True)
    usual = settings.engine_socket
    return usual.with_stem(f"{usual.stem}-{os.getpid()}") if _answers(usual) else usual


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(address(path)))
        except OSError:
            return False
    return True


def socket_of(command: tuple[str, ...]) -> Path:
    """Where the engine of this command line listens."""
    return Path(command[command.index("--socket") + 1])


def engine_command(settings: Settings, path: Path) -> tuple[str, ...]:
    """The command line of the engine that these settings describe, listening at `path`."""
    place = default_place(settings)
    flags = {
        "--socket": str(path),
        "--checkpoint": f"{place[0]}={place[1].absolute()}" if place else EMBEDDED,
        "--checkpoint-memory": str(settings.checkpoint_memory),
        "--device": settings.device,
        "--dtype": settings.dtype,
        "--batch-rows-exact": str(settings.batch_rows_exact),
        "--measurements": str(settings.measurements.absolute()),
    } | ({"--libraries": str(settings.libraries.absolute())} if settings.compile else {})
    given = (part for flag, value in flags.items() for part in (flag, value))
    return (sys.executable, "-m", "app.engine.server", *given, "--stop-with-stdin")
