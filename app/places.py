"""Where checkpoints lie and what they are called, from directory listings alone; knows nothing of what is in them.

Imports little: the engine is started with what this says before the web process has imported anything.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.settings import Settings, at_home

EMBEDDED = "embedded"
HUB_NAME = re.compile(r"(?!.*\.\.)([A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96})(?:@([\w./-]{1,100}))?")
MAX_DEPTH = 8
MAX_ENTRIES = 50_000  # names that one look reads in all
MAX_NAME = 180
NETWORKS = frozenset({"vae", "text_encoder"})  # one of them beside a folder `unet` makes a checkpoint of its parent
PICKLES = (".ckpt", ".bin", ".pt")
SUFFIXES = (".safetensors", *PICKLES)


@dataclass(frozen=True, slots=True)
class HubName:
    """`org/name`, at a branch, tag or commit if one is given."""

    repository: str
    revision: str | None

    @classmethod
    def parse(cls, text: str) -> HubName | None:
        found = HUB_NAME.fullmatch(text)
        return cls(found[1], found[2]) if found else None

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}" if self.revision else self.repository


@dataclass(frozen=True, slots=True)
class Found:
    """Files and folders that look like checkpoints, in order, and the folders that could not be read."""

    paths: list[Path] = field(default_factory=list)
    problems: dict[Path, str] = field(default_factory=dict)


def look(settings: Settings) -> Found:
    """List what looks like a checkpoint in the folders and below them, each once, however many links lead to it.

    Hidden folders are left out, and what lies deeper than `MAX_DEPTH` or beyond `MAX_ENTRIES` names.
    """
    found, walk = Found(), _Walk()
    for folder in (*settings.checkpoints, settings.own_checkpoints):
        try:
            below = walk.below(folder.absolute(), MAX_DEPTH)
            found.paths.extend(sorted(below, key=lambda path: len(path.parts)))  # the nearest come first
        except FileNotFoundError:
            if folder != settings.own_checkpoints:
                found.problems[folder] = f"{folder} is not there; create this folder, or correct --checkpoints"
        except OSError as error:
            found.problems[folder] = f"{folder} cannot be read ({error.strerror}); correct --checkpoints"
    return found


class _Walk:
    """One look. Remembers where it has been, so that links that lead in a circle end."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()
        self._left = MAX_ENTRIES

    def below(self, folder: Path, depth: int) -> Iterator[Path]:
        """The checkpoints in a folder, in the order of their names. Raises `OSError` if it cannot be read."""
        if not self._is_new(folder.stat()):
            return
        with os.scandir(folder) as listing:
            entries = sorted((entry for entry in listing if not entry.name.startswith(".")), key=lambda item: item.name)
        names = {entry.name for entry in entries}
        if "model_index.json" in names or ("unet" in names and names & NETWORKS):
            yield folder
            return
        for entry in entries:
            self._left -= 1
            if self._left < 0:
                return
            yield from self._at(entry, depth)

    def _at(self, entry: os.DirEntry[str], depth: int) -> Iterator[Path]:
        """What one entry holds; what cannot be read, or is gone again, holds nothing.

        A link that leads nowhere and a folder that calls itself a file are listed, so that their owner hears of it.
        """
        path, is_named_so = Path(entry.path), entry.name.lower().endswith(SUFFIXES)
        try:
            if entry.is_symlink() and not is_there(path):
                yield from (path,) if is_named_so else ()
            elif entry.is_dir():
                below = list(self.below(path, depth - 1)) if depth > 0 else []
                yield from below or ([path] if is_named_so else [])
            elif is_named_so and entry.is_file() and self._is_new(entry.stat()):
                yield path
        except OSError:
            return

    def _is_new(self, facts: os.stat_result) -> bool:
        key = facts.st_dev, facts.st_ino
        is_new = key not in self._seen
        self._seen.add(key)
        return is_new


def is_there(path: Path) -> bool:
    """Whether anything lies there that we may know of; never raises."""
    return os.path.exists(path)


def real(path: Path) -> Path:
    """The path without links; one that leads in a circle stays as it is."""
    return Path(os.path.realpath(path))


def name_all(paths: Iterable[Path], taken: Mapping[str, Path]) -> dict[str, Path]:
    """Give each path a name of its own beside those that are taken: its stem, with a number if it is not the first.

    A path that has a name in `taken` keeps it; pickles come last, since what can be used should have the plain name.
    Returns all names, in that order, those taken left out that are not among `paths`.
    """
    kept = {path: name for name, path in taken.items()}
    names: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: path.suffix.lower() in PICKLES):
        name = kept.get(path) or _free(short_name(path), {*taken, *names})
        names[name] = path
    return names


def short_name(path: Path) -> str:
    """The name of a folder, or that of a file without its suffix."""
    name = real(path).name if path.name in ("", "..") else path.name
    if path.suffix.lower() in SUFFIXES:
        name = name[: -len(path.suffix)]
    return re.sub(r"[\x00-\x1f\x7f/@]", "_", name)[:MAX_NAME].strip() or "checkpoint"


def embedded_path() -> Path:
    """The folder of the checkpoint that comes with the program."""
    return Path(__file__).resolve().parent.parent / "models" / EMBEDDED


def default_place(settings: Settings) -> tuple[str, Path] | None:
    """Name and path of the default checkpoint; None for one of the hub that has not been fetched yet.

    A path that exists comes first, then a name from the folders, then one of the hub. What is none of these is taken
    for a path, and whoever looks there will say what is wrong.
    """
    wanted = settings.checkpoint
    if wanted == EMBEDDED:
        return EMBEDDED, embedded_path()
    path = at_home(wanted)
    if is_there(path):
        return default_name(path), path
    if is_name(wanted):
        names = name_all(look(settings).paths, {EMBEDDED: embedded_path()})
        if wanted in names:
            return wanted, names[wanted]
    hub = HubName.parse(wanted)
    if hub is not None:
        return fetched(settings).get(str(hub))
    return default_name(path), path


def is_name(wanted: str) -> bool:
    """Whether this could be the name of a checkpoint in one of the folders."""
    return "/" not in wanted and not wanted.startswith((".", "~"))


def default_name(path: Path) -> str:
    """The name of a default that is given as a path; the embedded checkpoint's own is taken."""
    name = short_name(path)
    return name if name != EMBEDDED else f"{EMBEDDED}-2"


def public(text: str, name: str, path: Path) -> str:
    """A sentence about the checkpoint at `path`, without where that lies, which is no visitor's business.

    What is left of a path begins with the checkpoint's file or folder; with its name, for one of the hub.
    """
    places = {path.absolute(), real(path), path}
    if "@" in name:
        for place in places:
            text = text.replace(str(place), name)
    folders = {f"{parent}/" for place in places for parent in place.parents if parent.name}
    for folder in sorted(folders, key=len, reverse=True):
        text = text.replace(folder, "")
    return text


def hub_file(settings: Settings) -> Path:
    """The file that says which checkpoints of the hub are here, whole."""
    return settings.data / "hub.json"


def fetched(settings: Settings) -> dict[str, tuple[str, Path]]:
    """Name and path of each checkpoint of the hub that was fetched and is still there, whole, by what was asked for.

    The cache belongs to other programs too, which may have removed files of it.
    """
    try:
        content = json.loads(hub_file(settings).read_bytes())
        places = [
            (str(wanted), str(place["name"]), Path(place["path"]), [Path(file) for file in place.get("files", ())])
            for wanted, place in content.items()
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return {wanted: (name, path) for wanted, name, path, files in places if all(map(is_there, (path, *files)))}


def _free(stem: str, taken: set[str]) -> str:
    names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken and name != EMBEDDED)
