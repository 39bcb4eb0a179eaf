"""Checkpoints as pages and the API show them: what is on disk, joined with what the engine says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.services.catalogue import Catalogue
from app.services.entries import Download
from app.services.errors import ServiceError
from app.web.dependencies import EngineStatus
from models.checkpoint.facts import UNKNOWN, CheckpointFacts

COMMAND = "; convert it: "
SHORT_HASH = 10  # hexadecimal digits, as A1111 shows them


@dataclass(frozen=True, slots=True)
class CheckpointView:
    """A checkpoint that can be used. `state` is the engine's: available, loading, ready or failed.

    `memory` is what it takes there, in bytes; `hashing` 0 to 1 while its file is read for its hash.
    """

    facts: CheckpointFacts
    state: str
    error: str | None
    is_default: bool = False
    memory: int = 0
    hashing: float | None = None

    @property
    def short_hash(self) -> str | None:
        return self.facts.sha256[:SHORT_HASH] if self.facts.sha256 else None


@dataclass(frozen=True, slots=True)
class Unusable:
    """A checkpoint, or a folder, that cannot be used, and why; `is_fresh`: that may change by itself.

    `command` is what the sentence ends with, where it ends with one: as whoever sits at this machine types it.
    """

    name: str
    message: str
    is_fresh: bool = False
    command: str | None = None

    @property
    def reason(self) -> str:
        """The message without its command."""
        return f"{self.message.partition(COMMAND)[0]}." if self.command else self.message


@dataclass(frozen=True, slots=True)
class Shelves:
    """All that there is."""

    checkpoints: list[CheckpointView]
    unusable: list[Unusable]
    downloads: list[Download]
    is_looking: bool
    engine: EngineStatus

    @property
    def seconds_to_change(self) -> int | None:
        """After how many seconds any of this may be different, None if it only will be when somebody acts."""
        if (
            self.is_looking
            or self.engine.state in ("starting", "loading")
            or any(item.state == "loading" for item in self.checkpoints)
            or any(item.state != "failed" for item in self.downloads)
        ):
            return 1
        is_growing = any(item.is_fresh for item in self.unusable)
        return 3 if is_growing or any(item.hashing is not None for item in self.checkpoints) else None


def shelves(catalogue: Catalogue, engine: EngineStatus) -> Shelves:
    """Join what is on disk with what the engine reports. Where things lie is no reader's business."""
    return Shelves(
        checkpoints=_usable(catalogue, engine),
        unusable=_unusable(catalogue),
        downloads=catalogue.downloads,
        is_looking=catalogue.is_looking,
        engine=engine,
    )


def _usable(catalogue: Catalogue, engine: EngineStatus) -> list[CheckpointView]:
    default = _default_name(catalogue)
    reported = {item["name"]: item for item in engine.checkpoints}
    unknown = {"state": "available", "error": None}
    before = {"state": "available" if engine.is_ready else "loading", "error": None}
    views = []
    for facts in catalogue.checkpoints():
        is_default = facts.name == default
        said = reported.get(facts.name, before if is_default else unknown)
        if facts.prediction_type == UNKNOWN and (told := said.get("prediction_type")):
            facts = facts.model_copy(update={"prediction_type": told})  # the trial has told it
        hashing = None if facts.sha256 else catalogue.hashing(facts.name)
        views.append(CheckpointView(facts, said["state"], said["error"], is_default, said.get("bytes", 0), hashing))
    return views


def _unusable(catalogue: Catalogue) -> list[Unusable]:
    bad = [
        Unusable(entry.name, _sentence(entry.public_problem), entry.is_fresh, _command(entry.problem or ""))
        for entry in catalogue.entries()
        if entry.public_problem
    ]
    folders = catalogue.folder_problems.items()
    return [
        *bad,
        *(Unusable(Path(path).name, _sentence(text.replace(path, Path(path).name))) for path, text in folders),
    ]


def _sentence(text: str) -> str:
    return text if COMMAND in text else f"{text.rstrip('.')}."


def _command(problem: str) -> str | None:
    return problem.partition(COMMAND)[2] or None


def _default_name(catalogue: Catalogue) -> str | None:
    try:
        return catalogue.default.name
    except ServiceError:
        return None
