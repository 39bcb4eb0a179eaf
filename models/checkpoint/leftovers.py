"""Folders in which a conversion works: held while somebody works there, cleared away once nobody does.

A lock holds one, for as long as its writer or the writer's child lives, however they end. Where the system has no such
locks nothing of others is cleared away. Imports no torch.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

OURS = re.compile(r"\..+\.safetensors\.\d+\.part")
NETWORKS = ("unet", "vae", "text_encoder")  # folders of a checkpoint in which pickles lie


@dataclass(frozen=True, slots=True)
class Workplace:
    """A folder of our own; who inherits `descriptors` holds it, too."""

    folder: Path
    descriptors: tuple[int, ...]


@contextmanager
def workplace(target: Path) -> Iterator[Workplace]:
    """Make a hidden folder beside `target`, once what others left there is gone; remove it afterwards.

    Raises `OSError` where that cannot be.
    """
    clear([target])
    folder = target.with_name(f".{target.name}.{os.getpid()}.part")
    descriptors = _held(folder)
    try:
        yield Workplace(folder, descriptors)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for descriptor in descriptors:
            os.close(descriptor)


def clear(paths: Iterable[Path]) -> None:
    """Remove what conversions left beside these checkpoints or in them, where none goes on there."""
    places = {place for path in paths for place in (path.parent, *(path / name for name in NETWORKS))}
    for place in places:
        with suppress(OSError):
            for folder in place.glob(".*.part"):
                if OURS.fullmatch(folder.name) and not folder.is_symlink():
                    _remove_abandoned(folder)


def _held(folder: Path) -> tuple[int, ...]:
    if fcntl is None:
        folder.mkdir()
        return ()
    while True:
        folder.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # somebody took it, still empty, for abandoned
            descriptor = os.open(folder, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if folder.exists() and folder.stat().st_ino == os.fstat(descriptor).st_ino:
                return (descriptor,)
            os.close(descriptor)


def _remove_abandoned(folder: Path) -> None:
    if fcntl is None:
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while somebody works there
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
