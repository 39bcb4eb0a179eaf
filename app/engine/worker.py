"""The thread that loops `Engine.step`. Imports torch on that thread, so that the server answers meanwhile."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from app.collector import uncollected
from app.engine.compiling import Compiler
from app.engine.loading import DeviceLoader, memory_budget, pictures_budget
from app.engine.residency import Residency
from app.engine.shelf import Shelf
from app.engine.task import Cancelled, Failed, Task

if TYPE_CHECKING:
    from app.engine.engine import Engine
    from app.engine.knee import Knees

IDLE_SECONDS = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RowSettings:
    """The rows of a U-Net call: at most so many, or always exactly so many; where what was measured is kept."""

    most: int | None = None
    exact: int = 0
    measurements: Path | None = None


class Worker:
    """Own the engine and its device. All methods may be called from any thread."""

    def __init__(
        self,
        paths: dict[str, Path],
        *,
        device: str,
        dtype: str,
        memory_gib: float = 0.0,
        rows: RowSettings = RowSettings(),
        libraries: Path | None = None,
    ) -> None:
        self._device, self._dtype, self._rows = device, dtype, rows
        self._default = next(iter(paths))
        self._arrivals: deque[Task] = deque()
        self._wake = threading.Event()
        self._is_stopping = False
        self._error: str | None = None
        self._machine: dict[str, str | None] = {"device": None, "dtype": None, "torch": None}
        self._engine: Engine | None = None
        self._memory_gib = memory_gib
        self._residency = Residency(budget=0)
        self._knees: Knees | None = None
        self._pictures_bytes: int | None = None
        self._has_loaded = False  # the default, which is the first; it may leave again, and then work goes on
        self._compiler = Compiler(libraries) if libraries else None
        loader = DeviceLoader(device, dtype, rows.exact, self._compiler)
        self._shelf = Shelf(paths, loader, self._residency, self._note_change)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to load the default checkpoint, and to work."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Cancel everything; False if the step under way did not end in `seconds`."""
        self._is_stopping = True
        self._wake.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def knows(self, checkpoint: str) -> bool:
        return checkpoint in self._shelf

    def put(self, checkpoint: str, path: Path) -> None:
        """Say where a checkpoint lies, known or not."""
        self._shelf.put(checkpoint, path)

    def submit(self, task: Task) -> None:
        """Take a task, at any time; it waits while torch or its checkpoint loads."""
        self._arrivals.append(task)
        self._wake.set()

    def cancel(self, task: Task) -> None:
        """Drop a task within one step."""
        task.is_cancelled = True
        self._wake.set()

    def status(self) -> dict[str, Any]:
        """Return what `GET /status` answers. Never waits for the device."""
        checkpoints = self._shelf.describe()
        default = next(entry for entry in checkpoints if entry["name"] == self._default)
        state = "failed" if default["state"] == "failed" else "ready" if self._has_loaded else "loading"
        engine = self._engine
        return {
            "state": "failed" if self._error else state,
            "error": self._error or default["error"],
            **self._machine,
            "checkpoints": checkpoints,
            "memory": {**self._shelf.memory(), "pictures": self._pictures_bytes},
            "compile": self._compiler.status() if self._compiler else {"state": "off"},
            "running": len(self._arrivals) + (engine.running if engine else 0),
            "metrics": engine.counters.as_dict() if engine else {},
        }

    def _note_change(self) -> None:
        self._has_loaded = True
        self._wake.set()

    def _run(self) -> None:
        try:
            self._prepare()
        except Exception as error:
            log.exception("the engine cannot work on this machine")
            self._error = str(error)
        is_quiet = False
        while not self._is_stopping:
            self._wake.clear()
            if self._engine is None:
                self._refuse()
            elif self._step(self._engine) or (is_quiet and self._measure()):
                continue
            is_quiet = not self._wake.wait(IDLE_SECONDS)
        self._cancel_all()

    def _prepare(self) -> None:
        with uncollected():
            import torch

            from app.engine.engine import Engine
            from app.engine.knee import Knees
            from app.engine.limits import MAX_ROWS, Limits
            from app.engine.threads import set_threads, stand_back
            from models.devices import pick_device, pick_dtype

        threads = set_threads()
        device = pick_device(self._device)
        if device.type == "cpu":
            stand_back()
        dtype = str(pick_dtype(self._dtype, device)).removeprefix("torch.")
        self._machine = {"device": device.type, "dtype": dtype, "torch": str(torch.__version__)}
        self._residency.budget = memory_budget(self._memory_gib, device.type)
        self._pictures_bytes = pictures_budget(self._residency.budget, device.type)
        limits = Limits(self._rows.exact or self._rows.most or MAX_ROWS, self._pictures_bytes)
        self._knees = Knees(limits, self._rows.measurements)
        self._engine = Engine(self._shelf.get, plan=self._shelf.plan, limits=limits)
        log.info("the engine works", **self._machine, threads=threads, checkpoint_bytes=self._residency.budget)
        self._shelf.plan([self._default], set())

    def _step(self, engine: Engine) -> bool:
        while self._arrivals:
            engine.submit(self._arrivals.popleft())
        if engine.running and self._knees is not None:
            self._knees.drop()  # before the step: it may have the checkpoint that is measured leave the memory
        return engine.step()

    def _measure(self) -> bool:
        """Go on looking for the best number of rows of one of the checkpoints that are loaded."""
        assert self._knees is not None
        if self._engine is None or self._engine.running:
            return False
        ready = (entry["name"] for entry in self._shelf.describe() if entry["state"] == "ready")
        bundles = (self._shelf.get(name) for name in ready)
        return any(self._knees.go_on(bundle) for bundle in bundles if bundle is not None)

    def _refuse(self) -> None:
        while self._arrivals:
            self._arrivals.popleft().listener(Failed("internal", self._error or "The engine cannot work."))

    def _cancel_all(self) -> None:
        if self._engine is not None:
            self._engine.close()
        while self._arrivals:
            self._arrivals.popleft().listener(Cancelled())
