"""Event streams: complete and in order for programs, the newest card for pages, resumable for both."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator

import anyio
import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sse_starlette import ServerSentEvent

from app.services import generate, keys
from app.services.signal import Signal
from app.storage import events as job_events
from app.storage.tables import jobs
from app.web import events, limits
from app.web.limits import Streams
from tests.api.asking import post, wait_for
from tests.api.reading import TIMEOUT, Message, browser, stream, until
from tests.app.fake_engine import FakeEngine


@pytest.fixture
def bob(live: str) -> Iterator[httpx2.Client]:
    with browser(live) as client:
        yield client


def first(messages: Iterator[Message]) -> Message:
    return next(messages)


def follow_one(client: httpx2.Client) -> list[Message]:
    """Make a picture while following it, and return everything that was told, without the snapshot."""
    with stream(client, "/api/events") as messages:
        assert first(messages).event == "snapshot"
        post(client)
        return until(messages, "done")


def test_a_job_is_told_from_queued_to_done_in_order(bob: httpx2.Client) -> None:
    told = follow_one(bob)
    kinds = [message.event for message in told]
    assert (kinds[0], kinds[1], kinds[-1]) == ("queued", "running", "done")
    assert set(kinds[2:-1]) <= {"progress"}
    ids = [int(message.id) for message in told]
    assert ids == sorted(set(ids))
    assert len({message.json["job"] for message in told}) == 1


def test_the_image_can_be_fetched_once_done_is_told(bob: httpx2.Client) -> None:
    job = bob.get(f"/api/jobs/{follow_one(bob)[-1].json['job']}").json()
    assert bob.get(job["image"]["url"]).status_code == 200


def test_it_goes_on_after_the_last_event_id_without_gap_or_repeat(bob: httpx2.Client) -> None:
    told = follow_one(bob)
    with stream(bob, "/api/events", Last_Event_ID=told[0].id) as messages:
        assert until(messages, "done") == told[1:]


def test_the_header_wins_over_the_address(bob: httpx2.Client) -> None:
    told = follow_one(bob)
    with stream(bob, "/api/events?after=0", Last_Event_ID=told[-2].id) as messages:
        assert first(messages) == told[-1]


@pytest.mark.parametrize("last_id", ["999999999", "-1", "x", "9" * 40, "²"])
def test_an_unknown_id_is_answered_by_one_snapshot(bob: httpx2.Client, last_id: str) -> None:
    told = follow_one(bob)
    with bob.stream("GET", "/api/events", headers=[(b"Last-Event-ID", last_id.encode())]) as answer:
        text = next(chunk for chunk in answer.iter_text() if "event: snapshot" in chunk or "data:" in chunk)
    assert text.count("event: ") == 1
    assert f"id: {told[-1].id}" in text
    assert told[-1].json["job"] in text


def test_a_stranger_is_told_nothing(bob: httpx2.Client, live: str) -> None:
    with browser(live) as charlie, stream(charlie, "/api/events") as messages:
        assert first(messages).json == {"jobs": []}
        follow_one(bob)
        mine = post(charlie)["jobs"][0]["id"]
        assert {message.json["job"] for message in until(messages, "done")} == {mine}


def test_a_page_gets_cards_that_htmx_swaps_by_their_target(bob: httpx2.Client, engine: FakeEngine) -> None:
    engine.step_delay = 0.1
    with stream(bob, "/events") as messages:
        assert 'hx-target="#jobs"' in first(messages).data
        job_id = post(bob, steps=10)["jobs"][0]["id"]
        told = [first(messages)]
        while f"/images/{_image(bob, job_id)}" not in told[-1].data:
            told.append(first(messages))
    assert f'id="job-{job_id}"' in told[0].data
    cards = [message for message in told if message.data.startswith(f'<hx-partial hx-target="#job-{job_id}"')]
    assert cards[-1].data.rstrip().endswith("</hx-partial>")
    assert all(message.event == "" for message in told), "htmx swaps only messages without a name"
    previews = {found for card in cards for found in re.findall(r"preview\.png\?v=(\d+)", card.data)}
    assert len(previews) > 2


def _image(client: httpx2.Client, job_id: str) -> str:
    image = client.get(f"/api/jobs/{job_id}").json()["image"]
    return image["id"] if image else "none yet"


def test_a_slow_page_gets_only_the_latest_card(bob: httpx2.Client) -> None:
    start = int(follow_one(bob)[-1].id)
    job_id = follow_one(bob)[-1].json["job"]
    post(bob, prompt="a later one")
    with stream(bob, f"/events?after={start + 1}") as messages:
        told = first(messages)
    assert told.data.count(f'id="job-{job_id}"') == 1
    assert int(told.id) > start + 2


def test_a_waiting_card_moves_up_when_anothers_job_is_done(bob: httpx2.Client, live: str, engine: FakeEngine) -> None:
    engine.state = "loading"
    with browser(live) as charlie:
        others = post(charlie)["jobs"][0]["id"]
        mine = post(bob)["jobs"][0]["id"]
        with stream(bob, "/events") as messages:
            assert f'id="job-{mine}"' in first(messages).data
            charlie.delete(f"/api/jobs/{others}")
            moved = first(messages)
    assert (moved.id, moved.data.count("<article")) == ("", 1)
    assert f'hx-target="#job-{mine}"' in moved.data
    assert bob.get(f"/api/jobs/{mine}").json()["position"] == 1


class Clock(Signal):
    """A signal that is given again at once, but once after a second; it ends the stream after eight pauses."""

    def __init__(self) -> None:
        super().__init__()
        self.streams, self.pauses, self.now = Streams(), list[float](), 0.0

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.streams.is_closing = len(self.pauses) == 8

    async def wait(self, seen: int, timeout: float, owner: str = "") -> int:  # noqa: ARG002
        assert owner == "bob"  # the progress of others' jobs wakes nobody
        self.now += 1.0 if len(self.pauses) == 6 else 0.0
        return seen + 1

    def monotonic(self) -> float:
        return self.now


def pauses(monkeypatch: pytest.MonkeyPatch, read: Callable[[], list[ServerSentEvent]]) -> list[float]:
    """How long a stream gathers each time, while there are changes all the time but for once."""
    clock = Clock()
    monkeypatch.setattr(events, "asyncio", clock)
    monkeypatch.setattr(events, "time", clock)

    async def listen() -> None:
        async for _ in events.follow(read, clock, clock.streams, "bob", anyio.Event()):
            pass

    anyio.run(listen)
    return clock.pauses


def test_the_first_change_after_a_quiet_time_is_told_soon_and_many_are_gathered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = pauses(monkeypatch, lambda: [ServerSentEvent("a change")])
    assert found == [0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.005, 0.01]


def test_changes_of_others_do_not_delay_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = itertools.cycle([[ServerSentEvent("a change")], [], []])
    assert pauses(monkeypatch, lambda: next(turns)) == [0.005, 0.005, 0.005, 0.01, 0.005, 0.005, 0.005, 0.005]


def test_a_reader_that_is_behind_is_told_without_a_pause_between_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    change = ServerSentEvent("a change")
    backlog = iter([[change] * events.BATCH] * 9)
    readings: list[int] = []

    def read() -> list[ServerSentEvent]:
        found = next(backlog, [change])
        readings.append(len(found))
        return found

    assert len(pauses(monkeypatch, read)) == 8
    assert readings == [events.BATCH] * 9 + [1] * 8


def test_a_page_that_is_far_behind_gets_the_list_as_it_is_now(bob: httpx2.Client, app: FastAPI) -> None:
    told = follow_one(bob)[-1]
    with app.state.store.write() as tx:
        owner = tx.execute(select(jobs.c.owner)).scalar_one()
        for step in range(events.BATCH + 1):
            job_events.add(tx, told.json["job"], owner, "progress", {"step": step})
    with stream(bob, f"/events?after={told.id}") as messages:
        message = first(messages)
    assert 'hx-target="#jobs"' in message.data
    assert int(message.id) == int(told.id) + events.BATCH + 1


def test_one_browser_may_hold_only_so_many_streams(
    bob: httpx2.Client, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STREAMS_PER_OWNER", 1)
    with stream(bob, "/api/events") as messages:
        first(messages)
        refused = bob.get("/api/events")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many")
        assert "retry-after" in refused.headers
    until_none_is_counted(app)


def test_a_burst_of_streams_is_counted_as_one_after_another_is(
    bob: httpx2.Client, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STREAMS_PER_OWNER", 2)
    statuses: list[int] = []

    async def follow(client: httpx2.AsyncClient) -> None:
        async with client.stream("GET", "/api/events", cookies=dict(bob.cookies)) as answer:
            statuses.append(answer.status_code)
            while len(statuses) < 12:
                await anyio.sleep(0.01)

    async def burst() -> None:
        async with (
            httpx2.AsyncClient(base_url=bob.base_url, timeout=TIMEOUT, trust_env=False, verify=False) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(12):
                group.start_soon(follow, client)

    anyio.run(burst)
    assert sorted(statuses) == [200] * 2 + [429] * 10
    until_none_is_counted(app)


def until_none_is_counted(app: FastAPI) -> None:
    deadline = time.monotonic() + 10
    while app.state.streams.count:
        assert time.monotonic() < deadline, "a stream that was left is still counted"
        time.sleep(0.02)


def test_the_stream_of_a_key_ends_with_it(bob: httpx2.Client, app: FastAPI, engine: FakeEngine) -> None:
    engine.state = "loading"
    key = {"Authorization": f"Bearer {keys.create(app.state.store, 'mine')}"}
    job_id = bob.post("/api/jobs", json={"prompt": "a lake"}, headers=key).json()["jobs"][0]["id"]
    with stream(bob, "/api/events", **key) as messages:
        assert job_id in first(messages).data
        keys.revoke(app.state.store, "mine")
        with app.state.store.read() as tx:
            (owner,) = tx.execute(select(jobs.c.owner)).scalars()
        generate.cancel(app.state.store, owner, job_id)
        assert first(messages).event == "bye"


def test_the_job_of_a_deleted_image_is_not_in_the_snapshot(bob: httpx2.Client) -> None:
    job_id = follow_one(bob)[-1].json["job"]
    bob.delete(f"/api/images/{wait_for(bob, job_id, 'done')['image']['id']}")
    with stream(bob, "/api/events") as messages:
        assert first(messages).json == {"jobs": []}
