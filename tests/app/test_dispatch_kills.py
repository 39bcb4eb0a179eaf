"""kill -9 of a process that dispatches, at random and at each point of writing an image: nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.app.fake_engine import FakeEngine
from tests.app.house import PATIENCE_SECONDS, House
from tests.app.storing import queue, recipe

ROOT = Path(__file__).parents[2]

# Opens the data folder as a web process does and dispatches until it is killed, or kills itself at a point.
PROCESS = """
import asyncio, os, signal, sys
from pathlib import Path
from app.engine.client import EngineClient
from app.services import publish
from app.services.dispatch import Dispatcher
from app.services.signal import Signal
from app.settings import Settings
from app.storage import files, images, leases
from app.storage.store import Store

data, socket, point = sys.argv[1:]
def dies_before(owner, name):
    setattr(owner, name, lambda *_arguments, **_named: os.kill(os.getpid(), signal.SIGKILL))
match point:
    case "before the file": dies_before(files, "_write")
    case "before the rename": Path.replace = lambda *_arguments: os.kill(os.getpid(), signal.SIGKILL)
    case "after the file": dies_before(leases, "finish")
    case "inside the transaction": dies_before(images, "add")
    case "after the transaction": dies_before(leases, "is_taken_over"), dies_before(Dispatcher, "_drop_lost")
wake = Signal()
settings = Settings(data=Path(data), concurrency=4, lease_seconds=3600)  # so that no rescue waits for a lease
store = Store(settings, on_change=wake.notify)
asyncio.run(Dispatcher(store, EngineClient(Path(socket)), settings, wake).run())
"""


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with tempfile.TemporaryDirectory() as folder, FakeEngine(Path(folder) / "engine.sock") as fake:
        yield fake


@pytest.fixture
def house(tmp_path: Path, engine: FakeEngine) -> Iterator[House]:
    house = House(tmp_path, engine)
    yield house
    house.store.close()


class Process:
    """A process that dispatches from the house's folder, as the web server does, four jobs at a time."""

    def __init__(self, house: House, point: str = "") -> None:
        command = [sys.executable, "-c", PROCESS, str(house.settings.data), str(house.engine.socket), point]
        self._child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def wait(self) -> int:
        return self._child.wait(PATIENCE_SECONDS)


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_kill_9_while_four_run_and_four_wait_loses_nothing(house: House) -> None:
    house.engine.step_delay = 1.0
    queue(house.store, "alice", *[recipe(seed, steps=15) for seed in range(8)])
    with Process(house) as process:
        wait_until(lambda: house.engine.running == 4)
        process.kill()
    assert house.statuses() == ["running"] * 4 + ["queued"] * 4
    house.engine.step_delay = 0.0
    house.while_dispatching(house.until_all_are("done"))
    house.assert_each_done_once()


@pytest.mark.parametrize(
    "point",
    ["before the file", "before the rename", "after the file", "inside the transaction", "after the transaction"],
)
def test_kill_9_at_any_point_of_the_writer_leaves_one_image(house: House, point: str) -> None:
    queue(house.store, "alice", recipe())
    with Process(house, point) as process:
        assert process.wait() == -signal.SIGKILL
    house.while_dispatching(house.until_all_are("done"))
    house.assert_each_done_once()
    assert list(house.store.holders._folder.glob("*.lock")) == []
