"""Telling the coroutines of this process that something was written, from whatever thread wrote it."""

from __future__ import annotations

import asyncio
import contextlib
import threading

EVERYBODY = ""
MAX_OWNERS = 10_000


class Signal:
    """A counter that can be waited on. Read `version` before looking at the rows, then `wait` for a later one.

    What concerns one owner alone, as the progress of a job does, wakes only who waits for that owner's changes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version = 0
        self._latest = {EVERYBODY: 0}
        self._waiters: dict[asyncio.Future[None], str] = {}

    def version(self, owner: str = EVERYBODY) -> int:
        """The newest change that concerns everybody or this owner."""
        return max(self._latest[EVERYBODY], self._latest.get(owner, 0))

    def notify(self, owner: str = EVERYBODY) -> None:
        """Wake all that the change concerns, in any event loop; callable from any thread."""
        with self._lock:
            self._version += 1
            if len(self._latest) >= MAX_OWNERS:
                self._latest = {EVERYBODY: self._version}  # everybody looks once
            self._latest[owner] = self._version
            waiters = [waiter for waiter, other in self._waiters.items() if owner in (EVERYBODY, other)]
            for waiter in waiters:
                del self._waiters[waiter]
        for waiter in waiters:
            with contextlib.suppress(RuntimeError):  # its loop has been closed
                waiter.get_loop().call_soon_threadsafe(_resolve, waiter)

    async def wait(self, seen: int, timeout: float, owner: str = EVERYBODY) -> int:
        """Return the owner's version as soon as it differs from `seen`, at the latest after `timeout` seconds."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self.version(owner) != seen:
                return self.version(owner)
            self._waiters[waiter] = owner
        try:
            async with asyncio.timeout(timeout):  # Python 3.11's wait_for can swallow a cancellation
                await waiter
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiters.pop(waiter, None)
            version = self.version(owner)
        return version


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
