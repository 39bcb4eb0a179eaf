"""Pictures and masks that users send: taken apart from base64, decoded in a child process, checked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.metadata.png import marked
from app.services.errors import InvalidInput, ServiceError

MAX_BYTES = 20 * 2**20
MAX_SIDE = 2048
CHILDREN = 2
WAITING = 8  # more would keep the threads from all other requests
WAIT_SECONDS = 20.0
CHILD_SECONDS = 20.0
PROGRAM = Path(__file__).with_name("decoding.py")

_line = threading.BoundedSemaphore(CHILDREN + WAITING)
_children = threading.BoundedSemaphore(CHILDREN)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that was decoded and written anew: `png` holds its pixels and, if it had one, its synthetic mark.

    `original_width` and `original_height` are those of the file that was sent, before it was turned or made smaller.
    """

    png: bytes
    width: int
    height: int
    original_width: int
    original_height: int
    pixel_sha256: str
    is_blank: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.png).hexdigest()


def image(content: bytes, field: str) -> Picture:
    """Decode a picture that must not be larger than what can be edited. Raises `InvalidInput` that names `field`."""
    picture = _decode(content, field, is_mask=False)
    if max(picture.width, picture.height) > MAX_SIDE:
        raise _wrong(
            field,
            f"The picture is {picture.width} x {picture.height}; a side may have {MAX_SIDE} pixels. "
            "Upload it by POST /api/images, which makes it smaller, or send it smaller.",
        )
    return picture


def shrunk_image(content: bytes, field: str) -> Picture:
    """Decode a picture and, if it is too large to be edited, make it smaller. Raises `InvalidInput`."""
    return _decode(content, field, is_mask=False, max_side=MAX_SIDE)


def mask(content: bytes, field: str, width: int, height: int, *, is_scaled: bool = False, remedy: str = "") -> Picture:
    """Decode a mask for a picture of this size; of another size it is refused, with `remedy`, unless `is_scaled`."""
    found = _decode(content, field, is_mask=True, size=(width, height) if is_scaled else None)
    if (found.width, found.height) != (width, height):
        sizes = f"The mask is {found.width} x {found.height}, the picture {width} x {height}"
        raise _wrong(field, f"{sizes}; they must be the same.{remedy}")
    return found


def from_base64(text: str, field: str) -> bytes:
    """Read base64 or a data URI. Raises `InvalidInput`."""
    head, comma, body = text.partition(",")
    if text[:5].lower() == "data:":
        if not comma or not head.lower().endswith(";base64"):
            raise _wrong(field, "The data URI must be `data:image/png;base64,...`.")
        text = body
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _wrong(field, "This is neither the id of an image of yours nor base64 nor a data URI.") from error


def _decode(content: bytes, field: str, **request: object) -> Picture:
    if not content:
        raise _wrong(field, "The file is empty.")
    if len(content) > MAX_BYTES:
        raise _wrong(field, f"The file has {len(content):,} bytes; it may have {MAX_BYTES:,}.")
    facts, png = _ask_child(content, field, json.dumps(request))
    if error := facts.get("error"):
        raise _wrong(field, str(error))
    own = {name: value for name, value in facts.items() if name != "mark"}
    return Picture(png=marked(png, facts["mark"]) if facts["mark"] else png, **own)


def _ask_child(content: bytes, field: str, request: str) -> tuple[dict[str, Any], bytes]:
    command = [sys.executable, "-I", str(PROGRAM), request]
    try:
        with _turn():
            ran = subprocess.run(
                command, input=content, capture_output=True, timeout=CHILD_SECONDS, env={}, check=False
            )
    except subprocess.TimeoutExpired as error:
        raise _wrong(field, "The picture takes too long to decode.") from error
    if ran.returncode != 0:  # killed for its time or memory, or a fault of the decoder
        raise _wrong(field, "The picture cannot be decoded within the limits of memory and time.")
    head, _, png = ran.stdout.partition(b"\n")
    return json.loads(head), png


@contextmanager
def _turn() -> Iterator[None]:
    """Wait until few enough pictures are being decoded. Raises `ServiceError` if that would take too long."""
    busy = ServiceError(503, "busy", "Too many pictures are being decoded; try again soon.", retry_after=5)
    if not _line.acquire(blocking=False):
        raise busy
    try:
        if not _children.acquire(timeout=WAIT_SECONDS):
            raise busy
        try:
            yield
        finally:
            _children.release()
    finally:
        _line.release()


def _wrong(field: str, message: str) -> InvalidInput:
    return InvalidInput([{"field": field, "message": message}])
