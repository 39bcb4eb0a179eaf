"""Asking for images, and what becomes of the request: submit, look, cancel, retry, dismiss, follow."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row

from app.services import edit, read
from app.services.catalogue import Catalogue
from app.services.edit import Sources
from app.services.errors import Conflict, DiskFull, InvalidInput, NotFound, ServiceError, TooMany
from app.services.ranking import best_first, is_ranked
from app.services.request import JobRequest
from app.services.views import EventView, GroupView, JobView
from app.storage import events, jobs
from app.storage.jobs import Lineage
from app.storage.store import Store
from models.recipe import Recipe

__all__ = [
    "JobRequest",
    "cancel",
    "clear_finished",
    "completes_ranking",
    "dismiss",
    "events_after",
    "job_view",
    "last_event_id",
    "preview",
    "queue_counts",
    "recent_jobs",
    "retry",
    "submit",
]

DAY_MS = 24 * 3600 * 1000
MAX_KEY = 255
MAX_PENDING_OF_ALL = 10_000
MIN_FREE_BYTES = 64 * 2**20
RETRY_AFTER_SECONDS = 10


def submit(
    store: Store, catalogue: Catalogue, owner: str, request: JobRequest, idempotency_key: str | None = None
) -> GroupView:
    """Queue the images that are asked for; they are on disk before this returns.

    The same `idempotency_key` with the same request gives the first answer again for a day. Raises `InvalidInput`,
    `TooMany` and `DiskFull`.
    """
    return submit_order(
        store, owner, lambda: prepare(store, catalogue, owner, request), request.body_hash(), idempotency_key
    )


def submit_order(
    store: Store, owner: str, prepared: Callable[[], Order], body_hash: str, idempotency_key: str | None = None
) -> GroupView:
    """Queue what is `prepared`, unless the key is known: a repeat needs nothing of what the request began from.

    Two requests with the same key are told apart by `body_hash`.
    """
    if idempotency_key is not None:
        if not 1 <= len(idempotency_key) <= MAX_KEY:
            raise _bad_key(f"The key must have 1 to {MAX_KEY} characters.")
        with store.read() as tx:
            if known := _remembered(tx, owner, idempotency_key, body_hash):
                return known
    order = prepared()
    with store.write() as tx:
        if idempotency_key and (known := _remembered(tx, owner, idempotency_key, body_hash)):
            return known
        group_id = queue(store, tx, owner, order)
        if idempotency_key:
            jobs.remember(tx, owner, idempotency_key, body_hash, group_id)
    with store.read() as tx:  # nobody has to wait with a change until the places in line are counted
        return group_view(tx, owner, group_id)


def _remembered(tx: Connection, owner: str, key: str, body_hash: str) -> GroupView | None:
    """What the key was answered with. Raises `ServiceError` where it was used for another request."""
    known = jobs.remembered(tx, owner, key, DAY_MS)
    if known is None:
        return None
    if known.body_hash != body_hash:
        raise _bad_key("This key was used for another request; send a new key with a new request.")
    return _group(tx, owner, known.group_id, replayed=True)


@dataclass(frozen=True, slots=True)
class Order:
    """A request that can be carried out."""

    recipes: list[Recipe]
    sources: Sources | None


def prepare(store: Store, catalogue: Catalogue, owner: str, request: JobRequest) -> Order:
    """Check a request as far as that is possible without changing anything. Raises `InvalidInput`."""
    sources = edit.sources(store, owner, request)
    if sources and sources.keeps_a_part and request.hires_scale is not None:
        message = "Only what is made anew as a whole can be enlarged; leave this out, or mask and frame."
        raise InvalidInput([{"field": "hires_scale", "message": message}])
    recipes = request.recipes(catalogue, sources.edit if sources else None)
    catalogue.room.require(recipes[0], catalogue.get(request.checkpoint))
    return Order(recipes, sources)


def queue(store: Store, tx: Connection, owner: str, order: Order, canvas_id: str | None = None) -> str:
    """Queue one job for each recipe, as candidates of a canvas if one is named. Returns the id of their group.

    Raises `TooMany`, `DiskFull` and, where the picture to begin from has gone, `Conflict`.
    """
    _require_room(store, tx, owner, len(order.recipes))
    if order.sources is not None:
        edit.keep(store, tx, owner, order.sources)
    group_id = jobs.new_id()
    parent_id = order.sources.parent_id if order.sources else None
    jobs.add(tx, owner, group_id, order.recipes, Lineage(parent_id, canvas_id))
    return group_id


def group_view(tx: Connection, owner: str, group_id: str) -> GroupView:
    """The jobs of a request that was queued in this transaction."""
    return _group(tx, owner, group_id, replayed=False)


def job_view(store: Store, owner: str, job_id: str) -> JobView:
    """The owner's job. Raises `NotFound`."""
    with store.read() as tx:
        return _view(tx, _mine(tx, owner, job_id))


def recent_jobs(store: Store, owner: str, limit: int = 50) -> list[JobView]:
    """The owner's jobs that have not been dismissed, the newest requests first, of each the best picture first."""
    with store.read() as tx:
        return best_first(read.job_views(tx, jobs.recent(tx, owner, limit)))


def completes_ranking(store: Store, owner: str, job_ids: Iterable[str]) -> bool:
    """Whether one of these jobs is the last of a request whose pictures now stand best first."""
    with store.read() as tx:
        groups = {row.group_id for job_id in job_ids if (row := jobs.one(tx, owner, job_id)) is not None}
        members = [jobs.of_group(tx, owner, group) for group in groups]
        return any(is_ranked(read.job_views(tx, rows)) for rows in members if len(rows) > 1)


def cancel(store: Store, owner: str, job_id: str) -> JobView:
    """Stop a job that has not ended; on one that has this changes nothing. Raises `NotFound`."""
    with store.write() as tx:
        jobs.cancel(tx, _mine(tx, owner, job_id))
        return _view(tx, _mine(tx, owner, job_id))


def retry(store: Store, owner: str, job_id: str) -> JobView:
    """Queue a failed or cancelled job again. Raises `NotFound`, `Conflict` and `TooMany`."""
    with store.write() as tx:
        row = _mine(tx, owner, job_id)
        _require_room(store, tx, owner, 1)
        if not jobs.requeue(tx, row):
            raise Conflict(f"Only a failed or cancelled job can be tried again; this one is {row.status}.")
        return _view(tx, _mine(tx, owner, job_id))


def dismiss(store: Store, owner: str, job_id: str) -> None:
    """Take the card of an ended job off the page; its image stays. Raises `NotFound` and `Conflict`."""
    with store.write() as tx:
        row = _mine(tx, owner, job_id)
        if not jobs.hide(tx, row):
            raise Conflict(f"The job is {row.status}; cancel it before dismissing it.")


def clear_finished(store: Store, owner: str) -> int:
    """Dismiss all jobs that have ended. Returns how many."""
    with store.write() as tx:
        return jobs.hide_finished(tx, owner)


def preview(store: Store, owner: str, job_id: str) -> tuple[int, bytes] | None:
    """Version and PNG of the newest preview of the owner's running job, None if there is none."""
    with store.read() as tx:
        return jobs.preview(tx, owner, job_id)


def events_after(store: Store, owner: str, last_id: int, limit: int = 200) -> list[EventView]:
    """The owner's events that follow `last_id`, oldest first.

    If some of them are no longer kept, or `last_id` was never given out, the answer is one `snapshot`, after which
    the reader should look at the jobs anew.
    """
    with store.read() as tx:
        first, last = events.span(tx)
        if not first - 1 <= last_id <= last:
            return [EventView(last, None, "snapshot", {}, datetime.now(UTC))]
        return [read.event_view(row) for row in events.after(tx, owner, last_id, limit)]


def last_event_id(store: Store, owner: str) -> int:  # noqa: ARG001, ids are counted over all owners
    """The id after which a stream of the owner that begins now should go on."""
    with store.read() as tx:
        return events.span(tx)[1]


def queue_counts(store: Store) -> dict[str, int]:
    """How many jobs are queued and running, of all owners."""
    with store.read() as tx:
        return jobs.counts(tx)


def has_space(store: Store) -> bool:
    """Whether the disk has room for another picture."""
    return shutil.disk_usage(store.settings.data).free >= MIN_FREE_BYTES


def _mine(tx: Connection, owner: str, job_id: str) -> Row[Any]:
    row = jobs.one(tx, owner, job_id)
    if row is None:
        raise NotFound("There is no such job.")
    return row


def _view(tx: Connection, row: Row[Any]) -> JobView:
    return read.job_views(tx, [row])[0]


def _group(tx: Connection, owner: str, group_id: str, *, replayed: bool) -> GroupView:
    views = read.job_views(tx, jobs.of_group(tx, owner, group_id))
    return GroupView(group_id, tuple(views), replayed)


def _require_room(store: Store, tx: Connection, owner: str, count: int) -> None:
    limit = store.settings.max_pending
    pending, of_all = jobs.pending(tx, owner)
    if pending + count > limit:
        message = f"You have {pending} pictures waiting and may have {limit}; wait for some, or cancel some."
        raise TooMany(message, RETRY_AFTER_SECONDS)
    if of_all + count > MAX_PENDING_OF_ALL:
        raise ServiceError(503, "queue_full", "The queue is full; try again later.", retry_after=60)
    if not has_space(store):
        raise DiskFull


def _bad_key(message: str) -> InvalidInput:
    return InvalidInput([{"field": "Idempotency-Key", "message": message}])
