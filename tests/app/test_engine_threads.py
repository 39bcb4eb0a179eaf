"""A thread of the engine that dies takes the process with it, so that its parent starts another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app.engine import server
from app.engine.worker import Worker


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def test_a_thread_that_dies_ends_the_process(logged: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Worker) -> None:
        raise ZeroDivisionError("nobody thought of it")

    def serve(*_: object) -> None:
        assert has_ended.wait(60)

    def end(status: int) -> None:
        ended.append(status)
        has_ended.set()

    ended, has_ended = list[int](), threading.Event()
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # which is put back
    monkeypatch.setattr(Worker, "_prepare", lambda _: None)
    monkeypatch.setattr(Worker, "_refuse", fail)  # what its thread does without an engine
    for name, stand_in in {"configure": lambda: None, "listen": lambda _: None, "serve": serve}.items():
        monkeypatch.setattr(server, name, stand_in)
    monkeypatch.setattr("app.engine.server.os._exit", end)
    server.main(["--socket=unused", "--device=cpu"])
    assert ended == [1]
    (line,) = (line for line in logged if line["event"] == "a thread failed; the engine ends")
    assert (line["thread"], str(line["exc_info"])) == ("engine", "nobody thought of it")
