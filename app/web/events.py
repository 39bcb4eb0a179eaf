"""Live changes as server-sent events: `GET /events` for pages, `GET /api/events` for programs. One stream serves all
jobs of an owner.

**For pages** (htmx 4.0.1 with its hx-sse.js; checked against their source):

    <div hx-sse:connect="/events?after={{ last_event_id }}"></div>

- An unnamed message is swapped: htmx takes the `<hx-partial hx-target hx-swap>` elements out of it and swaps each into
  its own target; since nothing else is left, the connecting element itself is not touched. A target that is not on the
  page is skipped in silence. A named event would only be dispatched as a DOM event; we send one, `bye`, before the
  server goes away.
- One message carries one card, as `partial("job-ID", render_job_card(...))`. When jobs come or go, or those of one
  request are ranked (`ranking.py`), it carries the list instead, `partial("jobs", render_jobs(...))`.
- `after` is `generate.last_event_id`, read before the jobs that the page shows, so that nothing falls in between.
  hx-sse remembers the id of each message and sends it as `Last-Event-ID` when it reconnects, which wins over `after`.
  Without either, or with an id that is no longer kept, the first message is the whole list.
- Events are gathered for a moment, a longer one where many come, and a slow reader's stay in the database, so it gets
  only the latest card of a job; one that is far behind, the list at once.
- A card that waits is also sent when its position changes because of another's job; such a message has no id.

**For programs** every event is sent, in order: `event` is its kind, `id` its id, `data` JSON that names the job. A
`snapshot` comes first where the reader's id is missing or no longer kept: `data` is `{"jobs": [...]}` as `GET
/api/jobs/{id}` gives each.

Both keep the connection alive every 15 seconds, drop a reader that has taken nothing for 10, and end at SIGTERM and,
within `LOOK_SECONDS`, with the key that the reader came with.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any

import anyio
from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from app.services import generate, keys
from app.services.errors import NotFound, ServiceError
from app.services.signal import Signal
from app.services.store import Store
from app.services.views import EventView, JobView
from app.web.api.shapes import BUSY, NOT_FOUND, Job
from app.web.dependencies import Owner, StoreDep
from app.web.limits import Streams
from app.web.templating import partial, render_job_card, render_jobs

router = APIRouter()

BATCH = 200
GATHER_SECONDS = 0.15
FIRST_SECONDS = 0.005  # of gathering, where nothing has happened lately; it doubles while more comes
GOODBYE_SECONDS = 3.0
KEEP_ALIVE_SECONDS = 15
LIST_KINDS = frozenset({"queued", "dismissed", "snapshot"})
END_KINDS = frozenset({"done", "failed", "cancelled"})
LOOK_SECONDS = 2.0  # another process may have written without our signal
NOWHERE = -1
RETRY_MS = 1000
SEND_SECONDS = 10.0

Read = Callable[[], list[ServerSentEvent] | None]
LastEventId = Annotated[str | None, Header(description="Go on after this event.")]
After = Annotated[int | None, Query(ge=0, description="Go on after this event, where there is no Last-Event-ID.")]


class JsonReader:
    """Turn what happened since the last reading into JSON messages."""

    def __init__(self, store: Store, owner: str, after: int) -> None:
        self._store, self._owner, self._last = store, owner, after

    def __call__(self) -> list[ServerSentEvent]:
        events = generate.events_after(self._store, self._owner, self._last, BATCH)
        if events:
            self._last = events[-1].id
        return [self._message(event) for event in events]

    def _message(self, event: EventView) -> ServerSentEvent:
        body = self._snapshot() if event.kind == "snapshot" else event.body
        return _message(json.dumps(body, separators=(",", ":")), event=event.kind, event_id=event.id)

    def _snapshot(self) -> dict[str, Any]:
        jobs = generate.recent_jobs(self._store, self._owner)
        return {"jobs": [Job.of(job).model_dump(mode="json") for job in jobs]}


class PageReader:
    """Turn what happened since the last reading into the cards, or the list, that the page should show now."""

    def __init__(self, store: Store, owner: str, after: int, request: Request) -> None:
        self._store, self._owner, self._last, self._request = store, owner, after, request
        self._positions: dict[str, int | None] = {}

    def __call__(self) -> list[ServerSentEvent]:
        events = generate.events_after(self._store, self._owner, self._last, BATCH)
        if not events:
            return self._moved() if self._positions else []
        is_behind = len(events) == BATCH
        self._last = generate.last_event_id(self._store, self._owner) if is_behind else events[-1].id
        if is_behind or any(event.kind in LIST_KINDS for event in events):
            return [self._list()]
        ended = {event.job for event in events if event.job and event.kind in END_KINDS}
        if ended and generate.completes_ranking(self._store, self._owner, ended):
            return [self._list()]
        latest = {event.job: event.id for event in events if event.job}
        messages = [self._card(job, event_id) for job, event_id in sorted(latest.items(), key=lambda item: item[1])]
        return [message for message in messages if message]

    def _list(self) -> ServerSentEvent:
        jobs = generate.recent_jobs(self._store, self._owner)
        self._positions = _positions(jobs)
        return _message(partial("jobs", render_jobs(self._request, jobs)), event_id=self._last)

    def _card(self, job_id: str, event_id: int) -> ServerSentEvent | None:
        try:
            job = generate.job_view(self._store, self._owner, job_id)
        except NotFound:
            return None
        self._positions.pop(job_id, None)
        return self._message(job, event_id)

    def _moved(self) -> list[ServerSentEvent]:
        """The cards of jobs that wait at another place than was last shown."""
        jobs = generate.recent_jobs(self._store, self._owner)
        before, self._positions = self._positions, _positions(jobs)
        moved = [job for job in jobs if job.position is not None and before.get(job.id) != job.position]
        return [self._message(job) for job in moved]

    def _message(self, job: JobView, event_id: int | None = None) -> ServerSentEvent:
        return _message(partial(f"job-{job.id}", render_job_card(self._request, job)), event_id=event_id)


def _positions(jobs: Sequence[JobView]) -> dict[str, int | None]:
    return {job.id: job.position for job in jobs if job.position is not None}


def _message(data: str, *, event: str | None = None, event_id: int | None = None) -> ServerSentEvent:
    return ServerSentEvent(data, event=event, id=None if event_id is None else str(event_id), sep="\n")


async def follow(
    read: Read, signal: Signal, streams: Streams, owner: str, ending: anyio.Event
) -> AsyncIterator[ServerSentEvent]:
    """Yield what `read` finds, now and after each change that concerns the owner.

    Say goodbye when the server ends, or `read` returns None.
    """
    pause = FIRST_SECONDS
    yield ServerSentEvent(comment="open", retry=RETRY_MS, sep="\n")
    while not (streams.is_closing or ending.is_set()):
        seen = signal.version(owner)
        found = await _read_patiently(read)
        if found is None:
            break
        for message in found:
            yield message
        if len(found) == BATCH:  # more is waiting already
            continue
        await asyncio.sleep(pause if found else FIRST_SECONDS)  # of what concerns everybody, most is others'
        quiet_since = time.monotonic()
        await signal.wait(seen, LOOK_SECONDS, owner)
        if time.monotonic() - quiet_since > GATHER_SECONDS:
            pause = FIRST_SECONDS
        elif found:
            pause = min(2 * pause, GATHER_SECONDS)
    yield ServerSentEvent("closing", event="bye", retry=RETRY_MS, sep="\n")


async def _read_patiently(read: Read) -> list[ServerSentEvent] | None:
    """Read in a thread; a database that is busy for the moment is asked again at the next turn."""
    try:
        return await to_thread.run_sync(read)
    except ServiceError:
        return []


def _respond(request: Request, owner: str, read: Read) -> EventSourceResponse:
    state, ending = request.app.state, anyio.Event()

    def read_on() -> list[ServerSentEvent] | None:
        return None if keys.has_ended(state.store, owner) else read()

    return EventSourceResponse(
        follow(read_on, state.signal, state.streams, owner, ending),
        ping=KEEP_ALIVE_SECONDS,
        ping_message_factory=lambda: ServerSentEvent(comment="alive", sep="\n"),
        sep="\n",
        send_timeout=SEND_SECONDS,
        shutdown_event=ending,
        shutdown_grace_period=GOODBYE_SECONDS,
        headers={"Cache-Control": "private, no-store"},
    )


def _place(last_event_id: str | None, after: int | None) -> int:
    """Return the id to go on after; one that was never given out where the reader names none."""
    if last_event_id is None:
        return NOWHERE if after is None else after
    is_number = last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) < 19
    return int(last_event_id) if is_number else NOWHERE


async def _held(request: Request, owner: Owner) -> AsyncIterator[None]:
    """Count the stream from before it is let in until its answer has ended."""
    with request.app.state.streams.hold(owner):
        yield


@router.get("/events", include_in_schema=False, dependencies=[Depends(_held)])
async def page_events(
    request: Request, store: StoreDep, owner: Owner, last_event_id: LastEventId = None, after: After = None
) -> EventSourceResponse:
    """Follow all jobs of this browser as HTML."""
    return _respond(request, owner, PageReader(store, owner, _place(last_event_id, after), request))


@router.get(
    "/api/events",
    tags=["events"],
    dependencies=[Depends(_held)],
    response_class=EventSourceResponse,
    responses={
        200: {"content": {"text/event-stream": {"example": 'id: 12\nevent: progress\ndata: {"job":"…","step":3}\n\n'}}},
        422: NOT_FOUND[422],
        429: BUSY[429],
    },
)
async def api_events(
    request: Request, store: StoreDep, owner: Owner, last_event_id: LastEventId = None, after: After = None
) -> EventSourceResponse:
    """Follow all your jobs: queued, running, progress, done, failed, cancelled, dismissed; or snapshot at first."""
    return _respond(request, owner, JsonReader(store, owner, _place(last_event_id, after)))
