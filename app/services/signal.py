"""Telling the coroutines of this process that something was written, from whatever thread wrote it."""

from __future__ import annotations

import asyncio
import contextlib
import threading


class Signal:
    """A counter that can be waited on. Read `version` before looking at the rows, then `wait` for a later one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version = 0
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def version(self) -> int:
        return self._version

    def notify(self) -> None:
        """Wake all that wait, in any event loop; callable from any thread."""
        with self._lock:
            self._version += 1
            waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            with contextlib.suppress(RuntimeError):  # its loop has been closed
                waiter.get_loop().call_soon_threadsafe(_resolve, waiter)

    async def wait(self, seen: int, timeout: float) -> int:
        """Return the version as soon as it differs from `seen`, at the latest after `timeout` seconds."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._version != seen:
                return self._version
            self._waiters.add(waiter)
        try:
            async with asyncio.timeout(timeout):  # Python 3.11's wait_for can swallow a cancellation
                await waiter
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiters.discard(waiter)
        return self._version


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
