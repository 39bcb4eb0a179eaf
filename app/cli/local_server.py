"""A server of our own in a process of its own, on a free port, for measurements and for tests of whole processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2

from app.bootstrap import ROOT
from app.settings import Settings

ANNOUNCED = re.compile(r"https?://\S+")
PATIENCE_SECONDS = 180.0
POLL_SECONDS = 0.03


class LocalServer:
    """`serve` with these settings while the `with` block runs; `url` is where it answers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log: list[str] = []
        self.url = ""
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread()

    def __enter__(self) -> LocalServer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and return when it answers. Raises `RuntimeError` with its output if it ends instead."""
        flags = (
            "data",
            "checkpoint",
            "device",
            "dtype",
            "lease_seconds",
            "concurrency",
            "max_pending",
            "batch_rows_exact",
            "reuse",
        )
        given = [_flag(name, getattr(self.settings, name)) for name in flags]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app.cli.serve", "--port=0", *given],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        announced = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self._process, announced), daemon=True)
        self._reader.start()
        if not announced.wait(PATIENCE_SECONDS) or not self.url:
            self.kill()
            raise RuntimeError("the server did not start:\n" + "\n".join(self.log[-20:]))

    def stop(self) -> None:
        """End it as Ctrl-C would."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._wait()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._wait()

    def client(self) -> httpx2.Client:
        """A browser of its own: a new owner. It knows no certificates: to read them takes longer than a page does."""
        return httpx2.Client(base_url=self.url, timeout=PATIENCE_SECONDS, verify=False)

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)

    def _read(self, process: subprocess.Popen[str], announced: threading.Event) -> None:
        assert process.stdout is not None
        self.url = ""
        with process.stdout:
            for line in process.stdout:
                self.log.append(line.rstrip())
                found = ANNOUNCED.search(line)
                if found and not self.url:
                    self.url = found.group()
                    announced.set()
        announced.set()


def _flag(name: str, value: object) -> str:
    """A setting as its flag says it."""
    words = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{words}" if value else f"--no-{words}"
    return f"--{words}={value}"


def post(client: httpx2.Client, **request: Any) -> list[str]:
    """Ask for pictures. Returns the ids of the jobs."""
    answer = client.post("/api/jobs", json=request)
    answer.raise_for_status()
    return [job["id"] for job in answer.json()["jobs"]]


def wait(client: httpx2.Client, ids: list[str], *, until: tuple[str, ...] = ("done",)) -> list[dict[str, Any]]:
    """Wait until each job is in one of the states of `until`. Raises `RuntimeError` if one ends otherwise, or never.

    One job is asked for at a time, the first first: asking for all takes more of the processor than small pictures do.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    return [_wait_for(client, name, until, deadline) for name in ids]


def _wait_for(client: httpx2.Client, name: str, until: tuple[str, ...], deadline: float) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = client.get(f"/api/jobs/{name}").json()
        if job["status"] in until:
            return job
        if job["status"] in {"failed", "cancelled"}:
            raise RuntimeError(f"job {name} ended: {job['error']}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"still waiting after {PATIENCE_SECONDS:.0f} s: job {name} is {job['status']}")
        time.sleep(POLL_SECONDS)


def children(pid: int) -> list[int]:
    """The processes that this one started, on Linux."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children") if os.name == "posix" else ()
    return [int(child) for file in tasks for child in file.read_text().split()]


def processor_seconds(pid: int) -> float:
    """Processor time that a process has had, all its threads together, on Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
