"""The client against the fake engine: events in order, and a plain error for each way in which an engine goes away."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from app.engine.client import EngineClient, EngineRefused, EngineUnavailable
from models.recipe import Recipe
from tests.app.fake_engine import FakeEngine, picture, pixel_sha256

Result = TypeVar("Result")


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(asyncio.wait_for(coroutine, 20))


@pytest.fixture
def fake() -> Iterator[FakeEngine]:
    with tempfile.TemporaryDirectory() as folder, FakeEngine(Path(folder) / "engine.sock") as engine:
        yield engine


def recipe(**fields: Any) -> Recipe:
    return Recipe.model_validate({"prompt": "a lake", "seed": 7, "width": 64, "height": 64, "steps": 3, **fields})


async def events_of(client: EngineClient, wanted: Recipe) -> list[dict[str, Any]]:
    return [event async for event in client.generate(wanted)]


def test_it_yields_started_progress_and_the_image_in_order(fake: FakeEngine) -> None:
    events = run(events_of(EngineClient(fake.socket), recipe()))
    assert [event["event"] for event in events] == ["started", "progress", "progress", "progress", "image"]
    assert [event["step"] for event in events[1:4]] == [1, 2, 3]
    assert base64.b64decode(events[-1]["rgb"]) == picture(recipe())
    assert events[-1]["pixel_sha256"] == pixel_sha256(recipe())


def test_it_reports_the_status(fake: FakeEngine) -> None:
    fake.state = "loading"
    assert run(EngineClient(fake.socket).status())["state"] == "loading"


def test_it_passes_on_a_failure(fake: FakeEngine) -> None:
    fake.fail_with = {"code": "numerical", "message": "not a number"}
    last = run(events_of(EngineClient(fake.socket), recipe()))[-1]
    assert last == {"event": "failed", "code": "numerical", "message": "not a number"}


def test_it_says_unavailable_when_nobody_listens(tmp_path: Path) -> None:
    client = EngineClient(tmp_path / "no.sock")
    with pytest.raises(EngineUnavailable):
        run(client.status())
    with pytest.raises(EngineUnavailable):
        run(events_of(client, recipe()))


def test_it_says_unavailable_when_the_stream_breaks(fake: FakeEngine) -> None:
    fake.die_at_step = 1
    with pytest.raises(EngineUnavailable):
        run(events_of(EngineClient(fake.socket), recipe()))


def test_it_says_unavailable_when_the_engine_is_killed_and_works_again_after_a_restart(fake: FakeEngine) -> None:
    fake.step_delay = 0.05
    client = EngineClient(fake.socket)

    async def killed_after_start() -> None:
        async for event in client.generate(recipe(steps=100)):
            if event["event"] == "progress":
                await asyncio.to_thread(fake.kill)

    with pytest.raises(EngineUnavailable):
        run(killed_after_start())
    fake.start()
    assert run(events_of(client, recipe(steps=1)))[-1]["event"] == "image"


def test_it_is_refused_for_an_unknown_checkpoint(fake: FakeEngine) -> None:
    with pytest.raises(EngineRefused, match="no-such") as refusal:
        run(events_of(EngineClient(fake.socket), recipe(checkpoint="no-such")))
    assert (refusal.value.status, refusal.value.code) == (404, "checkpoint")


def test_closing_the_iterator_cancels(fake: FakeEngine) -> None:
    fake.step_delay = 0.02

    async def close_early() -> None:
        events = EngineClient(fake.socket).generate(recipe(steps=100))
        async for event in events:
            if event["event"] == "progress":
                break
        await events.aclose()
        for _ in range(200):
            if fake.cancelled:
                return
            await asyncio.sleep(0.02)

    run(close_early())
    assert fake.cancelled == [recipe(steps=100)]
    assert fake.running == 0


def test_the_pictures_of_an_edit_travel_with_the_recipe(fake: FakeEngine) -> None:
    png = b"\x89PNG of some kind"
    sha256 = hashlib.sha256(png).hexdigest()

    async def last_event() -> dict[str, Any]:
        wanted = recipe(edit={"image": sha256})
        return [event async for event in EngineClient(fake.socket).generate(wanted, {sha256: png})][-1]

    assert run(last_event())["event"] == "image"
    assert fake.inputs == [{sha256: png}]


def test_an_edit_without_its_picture_is_refused(fake: FakeEngine) -> None:
    with pytest.raises(EngineRefused, match="is not among the inputs") as refusal:
        run(events_of(EngineClient(fake.socket), recipe(edit={"image": "f" * 64})))
    assert refusal.value.status == 422
