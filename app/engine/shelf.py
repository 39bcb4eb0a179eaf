"""The checkpoints that this process may load, and those it has loaded. Loads in a thread of its own, one at a time."""

from __future__ import annotations

import gc
import glob
import queue
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import structlog

from app.engine.residency import Residency
from app.places import EMBEDDED, default_name, embedded_path, public
from models.checkpoint.facts import CheckpointError

if TYPE_CHECKING:
    from models.bundle import Bundle

LEAVE_SECONDS = 5.0  # for whoever still holds what leaves: the last picture of it may just be on its way out
LOOK_SECONDS = 0.05

State = Literal["available", "loading", "ready", "failed"]
Stamp = tuple[tuple[str, int, int], ...]

log = structlog.get_logger()


class Loader(Protocol):
    """What reads checkpoints onto the device."""

    def load(self, name: str, path: Path) -> Bundle:
        """Return the bundle, which calls itself `name`. Called in the shelf's thread."""

    def estimate(self, path: Path) -> int:
        """Bytes that its bundle will take, about; 0 if that cannot be known."""

    def free(self) -> None:
        """Give back to the device what nobody holds any more."""


@dataclass
class Place:
    """One checkpoint. `stamp` says what its files were when it was loaded, or found bad; `error` is for anybody.

    What failed without a stamp may do better another time: `is_told` says whether those who waited know by now.
    """

    path: Path
    state: State = "available"
    error: str | None = None
    bundle: Bundle | None = None
    bytes: int = 0
    stamp: Stamp | None = None
    is_told: bool = False


class Shelf:
    """Bundles by name; `on_change` is called, on the loading thread, when one is ready or has failed."""

    def __init__(
        self,
        paths: Mapping[str, Path],
        loader: Loader,
        residency: Residency,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._places = {name: Place(path) for name, path in paths.items()}
        self._loader = loader
        self._residency = residency
        self._on_change = on_change
        self._leaving: list[weakref.ref[object]] = []
        self._orders: queue.SimpleQueue[tuple[str, Place]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        threading.Thread(target=self._work, name="checkpoints", daemon=True).start()

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def put(self, name: str, path: Path) -> None:
        """Say where a checkpoint lies. If that, or what lies there, is not what was loaded, it is loaded anew."""
        stamp = _stamp(path)
        with self._lock:
            place = self._places.get(name)
            if place is None:
                self._places[name] = Place(path)
            elif place.path != path or (place.state == "ready" and place.stamp != stamp):
                self._let_go(place)
                self._places[name] = Place(path)
                self._residency.forget(name)

    def plan(self, waiting: Sequence[str], in_use: Set[str]) -> None:
        """Evict and load what is best now, given the checkpoints of the jobs that wait and of those under way."""
        with self._lock:
            self._forgive(waiting)
            for name in dict.fromkeys(name for name in waiting if not self._residency.knows(name)):
                self._residency.add(name, self._loader.estimate(self._places[name].path))
            self._weigh(waiting)
            moves = self._residency.plan([name for name in waiting if self._is_loadable(name)], in_use)
            for name in moves.evict:
                self._let_go(self._places[name])
                log.info("a checkpoint leaves the memory", checkpoint=name, bytes=self._places[name].bytes)
            for name in moves.load:
                place = self._places[name]
                place.state, place.error = "loading", None
                self._orders.put((name, place))

    def get(self, name: str) -> Bundle | None:
        """Return the bundle for a new job, None if the job has to wait. Raises `CheckpointError` where loading failed.

        One that was bad is tried again only after its files have changed; where something else was, for the next job.
        """
        with self._lock:
            place = self._places[name]
            if place.state == "failed" and not self._is_loadable(name):
                assert place.error is not None
                raise CheckpointError(place.error)  # a new one: each keeps who heard of it in its traceback
            return None if name in self._residency.yielding else place.bundle

    def describe(self) -> list[dict[str, Any]]:
        """List name, state, error, bytes in memory and what it predicts of each, the first being the default.

        What was bad and has changed is available again.
        """
        with self._lock:
            return [self._described(name, place) for name, place in self._places.items()]

    def memory(self) -> dict[str, int]:
        """Bytes that loaded checkpoints take, and may take."""
        with self._lock:
            return {"used": self._residency.used, "budget": self._residency.budget}

    def _forgive(self, waiting: Sequence[str]) -> None:
        """Let what failed for something that passes be loaded again, once all who waited have been told."""
        for name, place in self._places.items():
            if place.state == "failed" and place.stamp is None:
                if place.is_told or name not in waiting:
                    place.state, place.error = "available", None
                else:
                    place.is_told = True

    def _weigh(self, waiting: Sequence[str]) -> None:
        """Weigh anew what is in memory, where something else wants in: what is kept of weights and prompts grows."""
        if any(self._places[name].bundle is None for name in waiting):
            for name, place in self._places.items():
                if place.bundle is not None:
                    place.bytes = place.bundle.bytes
                    self._residency.resize(name, place.bytes)

    def _let_go(self, place: Place) -> None:
        if place.bundle is not None:
            self._leaving.append(weakref.ref(place.bundle.unet))
        place.state, place.bundle = "available", None

    def _described(self, name: str, place: Place) -> dict[str, Any]:
        is_bad = not self._is_loadable(name)
        return {
            "name": name,
            "state": "available" if place.state == "failed" and not is_bad else place.state,
            "error": place.error if is_bad else None,
            "bytes": place.bundle.bytes if place.bundle is not None else 0,
            "fingerprint": place.bundle.fingerprint if place.bundle is not None else None,
            "prediction_type": place.bundle.schedule.prediction_type if place.bundle is not None else None,
        }

    def _is_loadable(self, name: str) -> bool:
        place = self._places[name]
        return place.state != "failed" or (place.stamp is not None and place.stamp != _stamp(place.path))

    def _work(self) -> None:
        while True:
            name, place = self._orders.get()
            self._free()
            self._load(name, place)
            del place
            self._on_change()

    def _load(self, name: str, place: Place) -> None:
        stamp, began = _stamp(place.path), time.monotonic()
        try:
            bundle = self._loader.load(name, place.path)
        except Exception as error:
            log.exception("a checkpoint could not be loaded", checkpoint=name)
            with self._lock:
                place.state, place.error, place.is_told = "failed", _public(error, name, place.path), False
                place.stamp = stamp if _is_lasting(error) else None
                if self._places[name] is place:
                    self._residency.left(name)
            return
        seconds = round(time.monotonic() - began, 3)
        log.info("a checkpoint is ready", checkpoint=name, seconds=seconds, fingerprint=bundle.fingerprint)
        with self._lock:
            place.state, place.bundle, place.bytes, place.stamp = "ready", bundle, bundle.bytes, stamp
            if self._places[name] is place:
                self._residency.entered(name, bundle.bytes)

    def _free(self) -> None:
        """Have what left really gone, so that the next one does not come on top of it; at most for `LEAVE_SECONDS`."""
        until, pause = time.monotonic() + LEAVE_SECONDS, LOOK_SECONDS
        while True:
            gc.collect()  # a bundle and what it remembers of prompts refer to each other
            with self._lock:
                self._leaving = [left for left in self._leaving if left() is not None]
                are_gone = not self._leaving
            if are_gone or time.monotonic() > until:
                break
            time.sleep(pause)
            pause *= 2
        self._loader.free()


def paths_of(arguments: list[str]) -> dict[str, Path]:
    """Read `NAME=PATH`, `PATH` (named after its folder) and `embedded`; the embedded one is always among them.

    The first is the default. Raises `ValueError` for a name that is given twice with different paths.
    """
    found: dict[str, Path] = {}
    for argument in [*arguments, EMBEDDED]:
        name, path = _named(argument)
        if found.setdefault(name, path) != path and argument != EMBEDDED:
            raise ValueError(f"two checkpoints are called {name!r}: {found[name]} and {path}; name one NAME=PATH")
    return found


def _named(argument: str) -> tuple[str, Path]:
    if argument == EMBEDDED:
        return EMBEDDED, embedded_path()
    name, separator, path = argument.partition("=")
    if separator and name and ("/" not in name or (path.startswith("/") and not name.startswith(("/", ".", "~")))):
        return name, Path(path).expanduser()
    return default_name(Path(argument).expanduser()), Path(argument).expanduser()


def _is_lasting(error: Exception) -> bool:
    """Whether it is the files that are bad, and not the memory or the disk that fails now."""
    is_of_the_system = isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError)
    return isinstance(error, CheckpointError) and not is_of_the_system


def _public(error: Exception, name: str, path: Path) -> str:
    """What anybody may know of it; the log has it whole."""
    from app.engine.failures import is_out_of_memory

    if isinstance(error, CheckpointError):
        return public(str(error), name, path)
    if is_out_of_memory(error):
        return f"There is not enough memory to load {name}; try it again later, or take a smaller checkpoint."
    return f"{name} could not be loaded; the log has the details."


def _stamp(path: Path) -> Stamp:
    """What a change of the checkpoint changes: the name, size and time of every file of it."""
    folder = path if path.is_dir() else path.parent
    files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{glob.escape(path.stem)}.*")
    stamps = []
    for file in sorted(files):
        try:
            facts = file.stat()
        except OSError:
            continue
        if not file.is_dir():
            stamps.append((str(file.relative_to(folder)), facts.st_size, facts.st_mtime_ns))
    return tuple(stamps)
