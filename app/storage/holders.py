"""Which processes that carry out jobs are alive, told by file locks, which end with their process however it ends."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path


class Holders:
    """Lock files, one a process, in a folder that all processes of this data folder share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: dict[str, int] = {}

    def enter(self) -> str:
        """Become a holder and return its name. The file is locked before it has its name, so it never looks dead."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = secrets.token_hex(8)
        unnamed = self._folder / f".{name}.tmp"
        lock = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)  # open as long as we live
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(self._path(name))
        self._locks[name] = lock
        return name

    def leave(self, name: str) -> None:
        """Stop being this holder."""
        self._path(name).unlink(missing_ok=True)
        os.close(self._locks.pop(name))

    def dead(self) -> list[str]:
        """The holders whose process has certainly ended, and that have not been removed."""
        names = (path.stem for path in self._folder.glob("*.lock"))
        return [name for name in names if name not in self._locks and self._is_free(name)]

    def remove(self, name: str) -> None:
        """Forget a dead holder, once its jobs have been taken from it."""
        self._path(name).unlink(missing_ok=True)

    def _is_free(self, name: str) -> bool:
        try:
            lock = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(lock)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"
