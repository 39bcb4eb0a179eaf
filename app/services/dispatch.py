"""Getting queued jobs done: claims them, has the engine make them, keeps what comes back.

One `Dispatcher` runs in each web process. It survives whatever a single job, the engine or the database does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from typing import Any, Protocol, TypeVar

import httpx2
import structlog

from app.engine.client import EngineError, EngineRefused, EngineUnavailable
from app.services import claims, maintenance, reuse
from app.services.errors import DatabaseBusy, DiskFull
from app.services.publish import publish
from app.services.signal import Signal
from app.settings import Settings
from app.storage import leases
from app.storage.errors import LeaseLost
from app.storage.leases import Lease
from app.storage.store import Store
from models.recipe import Recipe

DISK_PAUSE_MS = 15_000
IDLE_SECONDS = 0.5
PROGRESS_SECONDS = 0.25
RESCUE_SECONDS = 2.0
SETTLE_SECONDS = 0.02
SOON_SECONDS = 0.1  # while somebody waits for an engine that starts
STATUS_SECONDS = 1.0
WITH_NEWCOMERS = 2
WRITER_THREADS = 4

log = structlog.get_logger()
T = TypeVar("T")


class Engine(Protocol):
    """What the dispatcher needs of `EngineClient`."""

    async def status(self) -> dict[str, Any]: ...

    def generate(
        self, recipe: Recipe, inputs: Mapping[str, bytes] = ..., owner: str = ...
    ) -> AsyncGenerator[dict[str, Any], None]: ...


class Dispatcher:
    """Carry out up to `settings.concurrency` jobs at a time; `wake` tells that something may have been queued.

    As many again are for owners who have none running, so that nobody waits for a place behind another's many jobs;
    the engine shares its time between owners.

    A checkpoint that is not loaded yet gets few of them, so that its jobs do not take the places of those that could
    run meanwhile. `sha256_of` gives the hash of a checkpoint's file, if that is known, to be kept with its pictures;
    `note_status` hears what the engine says of itself.
    `leases_lost` counts the jobs that another process took over while this one still worked on them.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        settings: Settings,
        wake: Signal,
        sha256_of: Callable[[str], str | None] = lambda checkpoint: None,  # noqa: ARG005
        note_status: Callable[[dict[str, Any]], None] = lambda status: None,  # noqa: ARG005
    ) -> None:
        self._store = store
        self._engine = engine
        self._settings = settings
        self._wake = wake
        self._sha256_of = sha256_of
        self._note_status = note_status
        self._lease_ms = int(settings.lease_seconds * 1000)
        self._running: dict[str, tuple[Lease, asyncio.Task[None]]] = {}
        self._unstarted: dict[str, str] = {}  # checkpoints of those that the engine has not begun, by lease
        self._renew_at = self._rescue_at = 0.0
        self._pause = IDLE_SECONDS
        self._status: dict[str, Any] = {}  # what the engine said last
        self._control = ThreadPoolExecutor(1, "dispatch")  # one thread: what it does happens in order
        self._writers = ThreadPoolExecutor(WRITER_THREADS, "publish")
        self.leases_lost = 0

    async def run(self) -> None:
        """Dispatch until cancelled; then put back what runs, as if it had never been started."""
        self._holder = await asyncio.to_thread(self._store.holders.enter)
        tidying = asyncio.create_task(maintenance.run(self._store))
        try:
            while True:
                seen = self._wake.version()
                try:
                    await self._turn()
                except Exception:
                    _tell(log.exception, "the dispatcher stumbled; it goes on")
                await self._wake.wait(seen, self._pause)
                if self._running:  # who comes first does not wait for company
                    await asyncio.sleep(SETTLE_SECONDS)
        finally:
            tidying.cancel()
            await self._stop()

    async def _turn(self) -> None:
        now = time.monotonic()
        if now >= self._rescue_at:
            await self._in_order(
                claims.rescue, self._store, self._holder, frozenset(self._running), self._settings.max_attempts
            )
            self._rescue_at = now + RESCUE_SECONDS
        if self._running and now >= self._renew_at:
            await self._in_order(claims.renew, self._store, self._holder, self._lease_ms)
            self._renew_at = now + self._settings.lease_seconds / 3
        await self._drop_lost()
        await self._claim()

    async def _claim(self) -> None:
        if len(self._running) >= self._settings.concurrency * WITH_NEWCOMERS:
            return
        self._pause = IDLE_SECONDS
        if not await self._in_order(claims.is_waiting, self._store, self._is_for_newcomers):
            return
        if (ready := await self._ready()) is None:
            self._pause = SOON_SECONDS
            return
        while len(self._running) < self._settings.concurrency * WITH_NEWCOMERS:
            crowded, newcomers = claims.crowded(self._unstarted.values(), ready), self._is_for_newcomers
            lease = await self._in_order(claims.claim, self._store, self._holder, self._lease_ms, crowded, newcomers)
            if lease is None:
                return
            self._unstarted[lease.token] = lease.recipe.checkpoint
            self._running[lease.token] = (lease, asyncio.create_task(self._carry(lease)))

    @property
    def _is_for_newcomers(self) -> bool:
        return len(self._running) >= self._settings.concurrency

    async def _ready(self) -> claims.Ready | None:
        """Which checkpoints the engine has loaded; None if it is not up."""
        try:
            async with asyncio.timeout(STATUS_SECONDS):
                status = await self._engine.status()
        except (EngineError, TimeoutError):
            return None
        self._status = status
        self._note_status(status)
        return None if status["state"] == "loading" else claims.ready(status)

    async def _drop_lost(self) -> None:
        """Stop what was cancelled by its owner or taken over by another process."""
        if not self._running:
            return
        mine = set(self._running)  # before the query: what is claimed after it is not lost
        for token in mine - await self._in_order(claims.held, self._store, self._holder):
            lease, task = self._running.get(token, (None, None))
            if lease is not None and task is not None and not task.cancelling():
                task.cancel()
                await self._count_loss(lease)

    async def _count_loss(self, lease: Lease) -> None:
        if await self._in_order(claims.is_taken_over, self._store, lease):
            self.leases_lost += 1

    async def _carry(self, lease: Lease) -> None:
        started = time.monotonic()
        about = log.bind(job=lease.job_id, attempt=lease.attempt, seed=lease.recipe.seed)
        _tell(about.info, "job started", checkpoint=lease.recipe.checkpoint)
        outcome = "stopped"
        try:
            outcome = await self._attempt(lease)
        except LeaseLost:
            await self._count_loss(lease)
        except Exception:
            _tell(about.exception, "what became of the job could not be written; it will be put back")
        finally:
            del self._running[lease.token]
            self._unstarted.pop(lease.token, None)
            self._wake.notify()
            _tell(about.info, "job left", outcome=outcome, seconds=round(time.monotonic() - started, 3))

    async def _attempt(self, lease: Lease) -> str:
        """Have the job made, and write down how it ended. Returns that in a word. Raises `LeaseLost`."""
        try:
            return await self._reused(lease) or await self._follow(lease)
        except EngineRefused as error:
            await self._write(leases.fail, lease, error.code, error.message)
        except claims.InputMissing as error:
            await self._write(leases.fail, lease, "missing_input", str(error))
        except EngineUnavailable as error:
            _tell(log.warning, "the engine broke off", job=lease.job_id, reason=str(error))
            return await self._put_back(lease, never_reached=isinstance(error.__cause__, httpx2.ConnectError))
        except DiskFull as error:
            await self._write(leases.pause, lease, DISK_PAUSE_MS, error.code, error.message)
            return "paused"
        except (LeaseLost, DatabaseBusy):
            raise
        except Exception:
            _tell(log.exception, "job failed by a fault of this program", job=lease.job_id)
            message = "This picture could not be finished because of a fault in the program; the log has more."
            await self._write(leases.fail, lease, "internal", message)
        return "failed"

    async def _put_back(self, lease: Lease, *, never_reached: bool) -> str:
        if never_reached:
            await self._write(leases.give_back, lease)
            return "put back"
        await self._write(leases.crashed, lease, self._settings.max_attempts)
        return "crashed"

    async def _reused(self, lease: Lease) -> str | None:
        """Give the job a picture that its owner has already, or is about to have: then that is waited for."""
        wanted = reuse.environment(self._status, lease.recipe.checkpoint) if self._settings.reuse else None
        if wanted is None:
            return None
        while (twin := self._twin(lease)) is not None:
            await asyncio.wait((twin,))
        found = await self._in_writer(reuse.reuse, self._store, lease, wanted)
        return "reused" if found else None

    def _twin(self, lease: Lease) -> asyncio.Task[None] | None:
        """The task of an equal job of this owner that was begun before."""
        for token, (other, task) in self._running.items():
            if token == lease.token:
                return None
            if (other.owner, other.recipe) == (lease.owner, lease.recipe):
                return task
        return None

    async def _follow(self, lease: Lease) -> str:
        write_at = 0.0
        inputs = await self._in_writer(claims.inputs, self._store, lease.recipe)
        async with aclosing(self._engine.generate(lease.recipe, inputs, lease.owner)) as stream:
            async for event in stream:
                if self._unstarted.pop(lease.token, None) is not None:
                    self._wake.notify()  # another of its checkpoint may take the place
                match event["event"]:
                    case "progress" if event.get("preview") or time.monotonic() >= write_at:
                        await self._in_writer(claims.note_progress, self._store, lease, event)
                        write_at = time.monotonic() + PROGRESS_SECONDS
                    case "image":
                        event["environment"] |= self._hash(lease.recipe.checkpoint)
                        await self._in_writer(publish, self._store, lease, event)
                        return "done"
                    case "failed":
                        await self._write(leases.fail, lease, event["code"], event["message"])
                        return "failed"
        raise EngineUnavailable("the stream ended without an image")

    def _hash(self, checkpoint: str) -> dict[str, str]:
        sha256 = self._sha256_of(checkpoint)
        return {"model_sha256": sha256} if sha256 else {}

    async def _stop(self) -> None:
        tasks = [task for _lease, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(DatabaseBusy, DiskFull):  # then the next process finds that this one has ended
            await self._in_order(claims.give_back_all, self._store, self._holder)
            await self._in_order(self._store.holders.leave, self._holder)
        await asyncio.to_thread(self._writers.shutdown)
        self._control.shutdown()

    async def _write(self, change: Callable[..., Any], lease: Lease, *arguments: Any) -> None:
        await self._in_writer(claims.settle, self._store, change, lease, *arguments)

    async def _in_writer(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writers, function, *arguments)

    async def _in_order(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._control, function, *arguments)


def _tell(speak: Callable[..., Any], what: str, **facts: Any) -> None:
    """Log; that the log cannot be written (a closed pipe, a full disk) must not cost a picture."""
    with suppress(OSError, ValueError):
        speak(what, **facts)
