"""The bytes of images, named by their SHA-256: written once, whole and durable, and checked when read."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from PIL import Image

from app.metadata.png import without_edit, without_recipe
from app.storage.errors import DiskFull

THUMBNAIL_WIDTH = 320
THUMBNAIL_HEIGHT = 640
THUMBNAIL_QUALITY = 82
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class ImageFiles:
    """PNG files below `folder`, each with what is derived from it beside it: a thumbnail, a copy without its recipe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, png: bytes) -> str:
        """Keep `png` and return its SHA-256; once this returns, the file survives a power cut. Raises `DiskFull`."""
        sha256 = hashlib.sha256(png).hexdigest()
        path = self._path(sha256, ".png")
        if self._is_sound(path, sha256):
            os.utime(path)  # a sweep that has seen it unused must not take it now
        else:
            self._make_folder(path.parent)
            _write(path, png)
            _sync_folder(path.parent)
        return sha256

    def find(self, sha256: str) -> Path:
        """The file of this hash. Raises `FileNotFoundError` if it is missing or damaged."""
        path = self._path(sha256, ".png")
        if not self._is_sound(path, sha256):
            raise FileNotFoundError(f"the image file {sha256} is missing or damaged")
        return path

    def has(self, sha256: str) -> bool:
        """Whether there is a file of this name, sound or not."""
        return self._path(sha256, ".png").exists()

    def thumbnail(self, sha256: str) -> bytes:
        """A small WebP of this image, made now if need be. Raises `FileNotFoundError` as `find` does."""
        return self._derived(sha256, ".webp", _thumbnail)

    def plain(self, sha256: str) -> bytes:
        """The same picture without its recipe, made now if need be. Raises `FileNotFoundError` as `find` does."""
        return self._derived(sha256, ".plain.png", without_recipe)

    def shared(self, sha256: str) -> bytes:
        """The same picture with its recipe but without what it was made from. Raises as `find` does."""
        return self._derived(sha256, ".shared.png", without_edit)

    def remove(self, sha256: str) -> None:
        """Delete the file and all that is derived from it."""
        for path in self._path(sha256, "").parent.glob(f"{sha256}.*"):
            path.unlink(missing_ok=True)

    def old(self, older_than_seconds: float) -> Iterator[str]:
        """The hashes of files that have not been written to lately; deletes unfinished ones on the way."""
        before = time.time() - older_than_seconds
        for path in self._folder.glob("??/??/*"):
            try:
                if path.stat().st_mtime > before:
                    continue
            except FileNotFoundError:  # removed meanwhile, or unfinished then and finished now
                continue
            if path.suffix == ".tmp":
                path.unlink(missing_ok=True)
            else:
                yield path.name.split(".")[0]

    def _path(self, sha256: str, suffix: str) -> Path:
        return self._folder / sha256[:2] / sha256[2:4] / f"{sha256}{suffix}"

    def _is_sound(self, path: Path, sha256: str) -> bool:
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        except OSError:
            return False

    def _derived(self, sha256: str, suffix: str, derive: Callable[[bytes], bytes]) -> bytes:
        path = self._path(sha256, suffix)
        with suppress(OSError):
            return path.read_bytes()
        content = derive(self.find(sha256).read_bytes())
        with suppress(OSError, DiskFull):  # it can be made again
            _write(path, content)
        return content

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _translated(error) from error
        for parent in (folder.parent, self._folder, self._folder.parent):
            _sync_folder(parent)


def _write(path: Path, content: bytes) -> None:
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _translated(error) from error


def _translated(error: OSError) -> Exception:
    return DiskFull() if error.errno in NO_SPACE else error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _thumbnail(png: bytes) -> bytes:
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        mark = image.info.get("xmp", b"")
        small = image.convert("RGB")
        small.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_HEIGHT), Image.Resampling.LANCZOS)
    webp = io.BytesIO()
    small.save(webp, "WEBP", quality=THUMBNAIL_QUALITY, method=4, xmp=mark)
    return webp.getvalue()
