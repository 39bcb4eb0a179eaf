"""Waiting for pictures in the event loop, for dialects whose answer is the picture itself.

A client that goes away cancels nothing: its pictures are finished and stay in the gallery, unless it asked otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from anyio import to_thread
from fastapi import Request

from app.services import batch, generate
from app.services.errors import ServiceError
from app.services.signal import Signal
from app.services.store import Store
from app.services.views import GroupView, JobView

ENDED = frozenset({"done", "failed", "cancelled"})
LOOK_SECONDS = 2.0  # another process may have written without our signal
SETTLE_SECONDS = 0.03  # so that a burst of changes is looked at once


async def changes(request: Request, owner: str, group_id: str) -> AsyncIterator[GroupView]:
    """Yield how the group stands, now and after each change, until all of it has ended or the client has gone."""
    store: Store = request.app.state.store
    signal: Signal = request.app.state.signal
    while True:
        seen = signal.version(owner)
        group = await to_thread.run_sync(batch.group, store, owner, group_id)
        yield group
        if has_ended(group) or await request.is_disconnected():
            return
        await asyncio.sleep(SETTLE_SECONDS)
        await signal.wait(seen, LOOK_SECONDS, owner)


async def result(request: Request, owner: str, group_id: str, *, cancel_when_gone: bool = False) -> GroupView:
    """Return the group once all of it has ended, or the client has gone."""
    async for latest in changes(request, owner, group_id):
        group = latest
    if cancel_when_gone:
        await cancel(request, owner, group_id)
    return group


async def cancel(request: Request, owner: str, group_id: str) -> None:
    """Stop what has not ended of a group."""
    store: Store = request.app.state.store
    for job in (await to_thread.run_sync(batch.group, store, owner, group_id)).jobs:
        if job.status not in ENDED:
            await to_thread.run_sync(generate.cancel, store, owner, job.id)


def has_ended(group: GroupView) -> bool:
    """Whether nothing more will come of it."""
    return all(job.status in ENDED for job in group.jobs)


def require_some(group: GroupView) -> list[JobView]:
    """Return the jobs that are done; if none is because one has failed, raise why."""
    done = [job for job in group.jobs if job.status == "done" and job.image is not None]
    failed = next((job.error for job in group.jobs if job.status == "failed" and job.error), None)
    if not done and failed is not None:
        raise ServiceError(500, failed.code, failed.message)
    return done
