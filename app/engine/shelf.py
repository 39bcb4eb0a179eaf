"""The checkpoints that this process may load, and those it has loaded. Loads in a thread of its own, one at a time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import structlog

import models

if TYPE_CHECKING:
    from models.bundle import Bundle

EMBEDDED = "embedded"

State = Literal["available", "loading", "ready", "failed"]
Stamp = tuple[tuple[str, int, int], ...]
Load = Callable[[Path], "Bundle"]

log = structlog.get_logger()


@dataclass
class Place:
    """One checkpoint. `stamp` says what its files were when it was found bad."""

    path: Path
    state: State = "available"
    error: Exception | None = None
    bundle: Bundle | None = None
    stamp: Stamp = ()


class Shelf:
    """Bundles by name; `on_change` is called, on the loading thread, when one is ready or has failed."""

    def __init__(self, paths: Mapping[str, Path], load: Load, on_change: Callable[[], None] = lambda: None) -> None:
        self._places = {name: Place(path) for name, path in paths.items()}
        self._load = load
        self._on_change = on_change
        self._orders: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()
        threading.Thread(target=self._work, name="checkpoints", daemon=True).start()

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def get(self, name: str) -> Bundle | None:
        """Return the bundle, or None while it loads, which this starts. Raises what loading it raised.

        One that was bad is tried again only after its files have changed.
        """
        with self._lock:
            place = self._places[name]
            if place.state == "failed" and place.stamp == _stamp(place.path):
                assert place.error is not None
                raise place.error
            if place.state in ("available", "failed"):
                place.state, place.error = "loading", None
                self._orders.put(name)
            return place.bundle

    def describe(self) -> list[dict[str, Any]]:
        """List name, state and error of each, the first being the default."""
        with self._lock:
            return [
                {"name": name, "state": place.state, "error": str(place.error) if place.error else None}
                for name, place in self._places.items()
            ]

    def _work(self) -> None:
        while True:
            name = self._orders.get()
            place, began = self._places[name], time.monotonic()
            stamp = _stamp(place.path)
            try:
                bundle = self._load(place.path)
            except Exception as error:
                log.exception("a checkpoint could not be loaded", checkpoint=name)
                with self._lock:
                    place.state, place.error, place.stamp = "failed", error, stamp
            else:
                seconds = round(time.monotonic() - began, 3)
                log.info("a checkpoint is ready", checkpoint=name, seconds=seconds, fingerprint=bundle.fingerprint)
                with self._lock:
                    place.state, place.bundle = "ready", bundle
            self._on_change()


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
        return EMBEDDED, Path(next(iter(models.__path__))) / EMBEDDED
    name, separator, path = argument.partition("=")
    if separator and name and "/" not in name:
        return name, Path(path).expanduser()
    return Path(argument).expanduser().resolve().name, Path(argument).expanduser()


def _stamp(path: Path) -> Stamp:
    """What a change of the folder changes: the name, size and time of every file."""
    if not path.is_dir():
        return ()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    facts = [(file, file.stat()) for file in files]
    return tuple((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in facts)
