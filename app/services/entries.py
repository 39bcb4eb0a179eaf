"""What the catalogue knows of one checkpoint: what is in it, or what is wrong with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import structlog

from app.places import public, real

if TYPE_CHECKING:
    from models.checkpoint.facts import CheckpointFacts

FRESH_SECONDS = 60.0  # a file that changed so lately may still be being copied
HALF_COPIED = ("truncated", "damaged", "missing", "cannot be read", "no safetensors file")
COPYING = "It changed a moment ago, so it may still be being copied; it is looked at again by itself."

Stamp = tuple[int, int]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    """A checkpoint by name. One that can be used has `facts`, another says in `problem` why not and what helps."""

    name: str
    path: Path
    facts: CheckpointFacts | None
    problem: str | None
    stamp: Stamp | None

    @property
    def is_fresh(self) -> bool:
        """Whether it looks like a file in the middle of being copied, and changed a moment ago."""
        is_part = any(word in (self.problem or "") for word in HALF_COPIED)
        return is_part and self.stamp is not None and time.time() - self.stamp[1] / 1e9 < FRESH_SECONDS

    @property
    def has_changed(self) -> bool:
        """Whether what lies there is not what was looked at."""
        return stamp_of(self.path) != self.stamp

    @property
    def public_problem(self) -> str | None:
        """The problem without where the checkpoint lies, which is no reader's business."""
        if self.problem is None:
            return None
        text = public(self.problem, self.name, self.path)
        return f"{text}. {COPYING}" if self.is_fresh else text


@dataclass(frozen=True, slots=True)
class Download:
    """How far a checkpoint of the hub is; the bytes are 0 until its size is known."""

    name: str
    state: Literal["running", "waiting", "failed"]
    done: int = 0
    total: int = 0
    error: str | None = None


def read(name: str, path: Path) -> Entry:
    """Look at a checkpoint, from headers and JSON alone. Never raises: the files may be anybody's."""
    from models.checkpoint.facts import CheckpointError, inspect

    stamp = stamp_of(path)
    try:
        facts = inspect(path).model_copy(update={"name": name})
    except CheckpointError as error:
        return Entry(name, path, None, str(error), stamp)
    except Exception as error:  # whatever a stranger's file can bring about, the others go on
        log.exception("a checkpoint could not be understood", path=str(path))
        problem = f"{path} cannot be understood ({type(error).__name__}); copy or download it again"
        return Entry(name, path, None, problem, stamp)
    has_none = facts.title in (real(path).name, path.name, path.stem, name)
    title = name.partition("@")[0] if has_none else facts.title
    return Entry(name, path, facts.model_copy(update={"title": title}), None, stamp)


def stamp_of(path: Path) -> Stamp | None:
    """Bytes, and time of the newest file in nanoseconds; None if nothing is there."""
    size, newest = 0, 0
    try:
        files = [path] if path.is_file() else [file for file in path.rglob("*") if not file.is_dir()]
        for file in files:
            facts = file.stat()
            size, newest = size + facts.st_size, max(newest, facts.st_mtime_ns)
    except OSError:
        return None
    return (size, newest) if files else None
