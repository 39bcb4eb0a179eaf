"""What a file of weights holds, from the header of the safetensors format alone. Imports no torch.

Whether a file is safetensors is decided by its content; its name says nothing. A header is a stranger's, so its
length, its number of tensors, their names and their places in the file are checked before anything is made of them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shlex
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_HEADER = 16 * 2**20  # bytes
MAX_TENSORS = 20_000
MAX_DIMENSIONS = 8  # of a tensor; those of convolutions have 4
NAME = re.compile(r"(?!.*__)[A-Za-z0-9_.\-]{1,256}")
ITEM_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip
PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth")
LFS_START = b"version https://"  # of the three lines that Git keeps in place of a large file
PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
WHOLE = 64 * 2**20  # bytes: files up to here are hashed whole
PIECES = 64  # of larger files, each of `PIECE` bytes
PIECE = 2**20
AGAIN = "copy or download it again"


class CheckpointError(Exception):
    """A checkpoint cannot be used. The message names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one tensor lies: bytes `begin` to `end` of a file, row by row."""

    file: Path
    key: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """A whole file of weights: its tensors by name, and what its writer noted."""

    file: Path
    size: int
    slots: Mapping[str, Slot]
    metadata: Mapping[str, str]


def read_header(file: Path) -> Header:
    """Read the header of a safetensors file. Raises `CheckpointError` for a missing, another or a cut off file."""
    try:
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            start = stream.read(16)
            length = _header_length(file, start, size)
            stream.seek(8)
            content = stream.read(length)
    except (FileNotFoundError, IsADirectoryError):
        raise CheckpointError(missing(file)) from None
    except OSError as error:
        raise _unreadable(file, error) from error
    entries = _entries(file, content)
    metadata = entries.pop("__metadata__", {})
    slots = {key: _slot(file, key, entry, base=8 + length) for key, entry in entries.items()}
    promised = 8 + length
    for begin, end in sorted((slot.begin, slot.end) for slot in slots.values()):
        if begin != promised:  # the format has no gaps, and no number belongs to two tensors
            raise _damaged(file)
        promised = end
    if size != promised:
        raise CheckpointError(
            f"{file} is truncated or damaged: it has {size:,} bytes where its header promises {promised:,}; {AGAIN}"
        )
    return Header(file, size, slots, metadata if isinstance(metadata, dict) else {})


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say as a `CheckpointError` what the system refuses of a checkpoint at `path`."""
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f"{error.filename or path} is not there; put it back, or name another one") from error
    except OSError as error:
        raise _unreadable(error.filename or path, error) from error


def fingerprint(file: Path) -> str:
    """Return what tells a file of weights from others, in hexadecimal, within a tenth of a second.

    It is the SHA-256 of the file; of one over 64 MiB that of its size, its first MiB, and 63 more spread evenly.
    """
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size <= WHOLE:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        digest = hashlib.sha256(struct.pack("<Q", size))
        for piece in range(PIECES):
            stream.seek(piece * (size - PIECE) // (PIECES - 1))
            digest.update(stream.read(PIECE))
    return digest.hexdigest()


def missing(file: Path) -> str:
    """Say that a file of weights is not there, and what is there instead."""
    pickle = pickle_in(file.parent)
    if pickle:
        return pickled(pickle)
    others = [path.name for path in sorted(file.parent.glob("*.safetensors"))]
    found = f" (found {', '.join(others[:3])}: rename the one to use)" if others else ""
    return f"{file} is missing{found}; copy or download the checkpoint again, whole"


def pickle_in(folder: Path) -> Path | None:
    """A file of weights in a folder that is called as a pickle is, None if there is none."""
    return next((path for pattern in PICKLES for path in sorted(folder.glob(pattern))), None)


def pickled(file: Path, *others: Path) -> str:
    """Say that a file is a pickle, and how it and others are made into such as can be loaded."""
    names = " ".join(shlex.quote(str(path)) for path in (file, *others))
    return (
        f"{file} is a pickle, which can run any code and is never opened here; convert it: "
        f"python3 -m app checkpoints convert {names}"
    )


def is_pickle(start: bytes) -> bool:
    """Say whether a file that begins like this is one of torch's: a zip archive, or a bare pickle."""
    return start.startswith(PICKLE_STARTS)


def _header_length(file: Path, start: bytes, size: int) -> int:
    length = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else math.inf
    if is_pickle(start):
        raise CheckpointError(pickled(file))
    if start == LFS_START:
        raise CheckpointError(f"{file} is not the file itself but Git LFS's note of it; fetch it: git lfs pull")
    if length > size - 8 or start[8:9] != b"{":
        raise CheckpointError(f"{file} is truncated or no safetensors file; {AGAIN}")
    if length > MAX_HEADER:
        raise CheckpointError(
            f"{file} has a header of {length:,} bytes, where {MAX_HEADER:,} are the most; take another file"
        )
    return int(length)


def _entries(file: Path, content: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict):
        raise _damaged(file)
    if len(entries) > MAX_TENSORS:
        raise CheckpointError(
            f"{file} holds {len(entries):,} tensors, where {MAX_TENSORS:,} are the most; take another"
        )
    return entries


def _slot(file: Path, key: str, entry: Any, *, base: int) -> Slot:
    if not NAME.fullmatch(key):
        raise CheckpointError(
            f"{file} has a tensor of the name {key[:80]!r}; names are up to 256 letters, digits, dots, dashes and "
            "single underscores: take another file"
        )
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        is_sound = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
        if not is_sound or len(shape) > MAX_DIMENSIONS or end - begin != math.prod(shape) * ITEM_BYTES[dtype]:
            raise _damaged(file)
    except (KeyError, TypeError, ValueError):
        raise _damaged(file) from None
    return Slot(file, key, dtype, shape, base + begin, base + end)


def _unreadable(file: Path | str, error: OSError) -> CheckpointError:
    return CheckpointError(f"{file} cannot be read ({error.strerror}); see to its permissions or its disk")


def _damaged(file: Path) -> CheckpointError:
    return CheckpointError(f"{file} has a damaged header; {AGAIN}")
