"""Where an engine's socket really lies: operating systems limit the length of a Unix socket's path."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

MAX_BYTES = 90  # Linux allows 107, macOS 103, and a new engine adds its process id while it binds


def address(socket: Path) -> Path:
    """Return `socket`, or for a path that is too long one of a private temporary folder, always the same.

    Raises `PermissionError` if that folder belongs to somebody else.
    """
    path = socket.absolute()
    if len(os.fsencode(path)) <= MAX_BYTES:
        return path
    folder = Path(tempfile.gettempdir()) / f"mezzotint-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077 or folder.is_symlink():
        raise PermissionError(f"{folder} is not private to this user; remove it, or choose a shorter data folder")
    return folder / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.sock"
