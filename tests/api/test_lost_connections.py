"""A client that goes away while it waits: its pictures are finished, unless it asked for the contrary."""

from __future__ import annotations

import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI

from app.services import generate, keys
from app.services.views import JobView
from tests.api.asking import PATIENCE_SECONDS
from tests.app.fake_engine import FakeEngine

A1111, OPENAI = "/sdapi/v1/txt2img", "/v1/images/generations"
ROUTES: dict[str, dict[str, Any]] = {
    A1111: {"prompt": "a lake", "steps": 8, "width": 64, "height": 64},
    OPENAI: {"prompt": "a lake", "steps": 8, "size": "64x64"},
}


def ended(app: FastAPI) -> JobView:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        jobs = generate.recent_jobs(app.state.store, keys.LOCAL)
        if jobs and jobs[0].status not in ("queued", "running"):
            return jobs[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def leave(address: str, route: str, body: dict[str, Any], engine: FakeEngine) -> None:
    """Ask, and hang up as soon as the picture is being made."""
    parts, content = urlsplit(address), json.dumps(body).encode()
    head = f"POST {route} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(head.encode() + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not engine.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("route", ROUTES)
def test_what_was_asked_for_is_made_and_kept(live: str, app: FastAPI, engine: FakeEngine, route: str) -> None:
    engine.step_delay = 0.05
    leave(live, route, ROUTES[route], engine)
    job = ended(app)
    assert job.status == "done"
    assert job.image is not None


@pytest.mark.parametrize(("route", "stream"), [(A1111, False), (OPENAI, False), (OPENAI, True)])
def test_it_is_cancelled_for_those_who_asked_for_that(
    live: str, app: FastAPI, engine: FakeEngine, route: str, stream: bool
) -> None:
    engine.step_delay = 1.0
    leave(live, route, {**ROUTES[route], "cancel_on_disconnect": True, "stream": stream}, engine)
    assert ended(app).status == "cancelled"
