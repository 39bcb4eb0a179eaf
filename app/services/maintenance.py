"""What is done every hour: delete what was discarded, forget old events, keys and jobs, remove files nobody needs."""

from __future__ import annotations

import asyncio

import structlog

from app.services import discards, gallery
from app.storage import events, images, jobs, references
from app.storage.store import Store

FIRST_SECONDS = 5.0  # from the start, so that nobody waits for it who opens the first page
HOUR_SECONDS = 3600
HOUR_MS = HOUR_SECONDS * 1000
DAY_MS = 24 * HOUR_MS
MONTH_MS = 30 * DAY_MS
AT_ONCE = 200  # jobs, so that nobody waits long for the database
ORPHAN_SECONDS = HOUR_SECONDS

log = structlog.get_logger()


async def run(store: Store) -> None:
    """Sweep soon and every hour, until cancelled."""
    await asyncio.sleep(FIRST_SECONDS)
    while True:
        try:
            await asyncio.to_thread(sweep, store)
        except Exception:
            log.exception("maintenance failed; it is tried again in an hour")
        await asyncio.sleep(HOUR_SECONDS)


def sweep(store: Store) -> None:
    """Finish deletions that were cut short, then remove orphaned files, old events, keys, previews and jobs."""
    discards.settle(store)
    with store.read() as tx:
        buried = images.buried(tx)
    gallery.erase(store, buried)
    _remove_orphans(store)
    with store.note() as tx:
        events.forget(tx, DAY_MS)
        jobs.forget_keys(tx, DAY_MS)
        jobs.forget_previews(tx, HOUR_MS)
    _forget_jobs(store)


def _forget_jobs(store: Store) -> None:
    """Forget, with its prompt, what was taken off the page or whose picture was deleted; what failed, in a month."""
    with store.read() as tx:
        ids = jobs.forgettable(tx, DAY_MS, MONTH_MS)
    for first in range(0, len(ids), AT_ONCE):
        with store.note() as tx:
            jobs.forget(tx, ids[first : first + AT_ONCE])


def _remove_orphans(store: Store) -> None:
    with store.read() as tx:
        used = references.in_use(tx)
    for sha256 in {sha256 for sha256 in store.files.old(ORPHAN_SECONDS) if sha256 not in used}:
        with store.write() as tx:
            if not references.is_used(tx, sha256):
                store.files.remove(sha256)
