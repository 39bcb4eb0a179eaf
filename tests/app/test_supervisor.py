"""The supervisor with real child processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from app.engine.child import Child, engine_command, free_socket
from app.engine.client import EngineClient, EngineUnavailable
from app.engine.supervisor import Supervisor
from app.settings import Settings

PATIENCE = 60.0
WAITS_FOR_STDIN = (sys.executable, "-c", "import sys; sys.stdin.read()")
PARENT = """
import asyncio, sys
from pathlib import Path
from app.engine.log import configure
from app.engine.supervisor import Supervisor
from app.settings import Settings

configure()

async def main():
    async with Supervisor(Settings(data=Path(sys.argv[1]), checkpoint=sys.argv[2])) as supervisor:
        print(supervisor.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""

Result = TypeVar("Result")


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


async def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "that was never reached"
        await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def test_it_stops_its_child_at_the_end(data: Path) -> None:
    async def scenario() -> int:
        async with Supervisor(Settings(data=data), command=WAITS_FOR_STDIN) as supervisor:
            assert supervisor.pid is not None
            assert is_alive(supervisor.pid)
            return supervisor.pid

    assert not is_alive(run(scenario()))


def test_it_replaces_a_child_that_was_killed(data: Path) -> None:
    async def scenario() -> None:
        async with Supervisor(Settings(data=data), command=WAITS_FOR_STDIN) as supervisor:
            first = supervisor.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await until(lambda: supervisor.pid not in (None, first))
            assert supervisor.restarts == 1

    run(scenario())


def test_it_adopts_a_child_that_was_started_before(data: Path) -> None:
    first = Child(WAITS_FOR_STDIN)

    async def scenario() -> None:
        async with Supervisor(Settings(data=data), first=first) as supervisor:
            assert supervisor.pid == first.pid
            os.kill(first.pid, signal.SIGKILL)
            await until(lambda: supervisor.pid not in (None, first.pid))

    run(scenario())
    assert not is_alive(first.pid)


def test_it_goes_on_when_the_child_cannot_live(data: Path) -> None:
    async def scenario() -> None:
        async with Supervisor(Settings(data=data), command=(sys.executable, "-c", "")) as supervisor:
            await until(lambda: supervisor.restarts >= 2)

    run(scenario())


def test_it_starts_the_engine_that_the_settings_describe(data: Path) -> None:
    settings = Settings(data=data, checkpoint="/checkpoints/mine", checkpoint_memory=6, device="cpu", dtype="bfloat16")
    command = " ".join(engine_command(settings, free_socket(settings)))
    assert f"--socket {data / 'engine.sock'}" in command
    assert "--checkpoint mine=/checkpoints/mine --checkpoint-memory 6.0 --device cpu --dtype bfloat16" in command


def test_two_servers_on_one_data_folder_have_an_engine_each(data: Path) -> None:
    settings = Settings(data=data)
    assert free_socket(settings) == settings.engine_socket
    with listening(settings.engine_socket):
        own = free_socket(settings)
        assert own != settings.engine_socket
        assert Supervisor(settings).socket == own
        with listening(own):
            pass
        assert own.exists()
        free_socket(settings)
        assert not own.exists(), "what a killed server left is removed"
    assert free_socket(settings) == settings.engine_socket


@contextmanager
def listening(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        yield


async def answers(client: EngineClient) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await client.status()
                return
            except EngineUnavailable:
                await asyncio.sleep(0.02)


def test_the_engine_does_not_outlive_a_parent_that_was_killed(data: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(data), str(data / "nothing")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        try:
            child = int(parent.stdout.readline())
            run(answers(EngineClient(data / "engine.sock")))
        finally:
            parent.kill()
    run(until(lambda: not is_alive(child)))
