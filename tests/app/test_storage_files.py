"""Image files: whole or not there, found only if sound, removed with what is derived from them."""

from __future__ import annotations

import errno
import io
import os
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.metadata.png import encode_png
from app.storage import files
from app.storage.errors import DiskFull
from app.storage.files import ImageFiles
from tests.app.storing import recipe


@pytest.fixture
def folder(tmp_path: Path) -> ImageFiles:
    return ImageFiles(tmp_path / "images")


def png(width: int = 640, height: int = 384, seed: int = 7) -> bytes:
    wanted = recipe(seed, width=width, height=height)
    return encode_png(bytes(width * height * 3), width, height, wanted, {})


def test_a_file_is_found_by_its_hash(folder: ImageFiles) -> None:
    sha256 = folder.put(png())
    assert folder.find(sha256).read_bytes() == png()
    assert folder.put(png()) == sha256


def test_no_unfinished_file_stays_when_the_disk_is_full(
    folder: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(files, "_sync_folder", lambda _folder: None)
    with pytest.raises(DiskFull) as refusal:
        folder.put(png())
    assert refusal.value.status == 507
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("damage", [b"", b"garbage", png()[:-1], png()[:-1] + b"?"])
def test_a_damaged_file_is_not_found_and_is_healed_by_putting_it_again(folder: ImageFiles, damage: bytes) -> None:
    sha256 = folder.put(png())
    folder.find(sha256).write_bytes(damage)
    with pytest.raises(FileNotFoundError):
        folder.find(sha256)
    with pytest.raises(FileNotFoundError):
        folder.thumbnail(sha256)
    folder.put(png())
    assert folder.find(sha256).read_bytes() == png()


@pytest.mark.parametrize(
    ("size", "expected"), [((640, 384), (320, 192)), ((64, 64), (64, 64)), ((64, 2048), (20, 640))]
)
def test_a_thumbnail_fits_and_is_never_larger_than_the_image(
    folder: ImageFiles, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    with Image.open(io.BytesIO(folder.thumbnail(folder.put(png(*size))))) as image:
        assert (image.format, image.size) == ("WEBP", expected)
        assert b"trainedAlgorithmicMedia" in image.info["xmp"]


@pytest.mark.parametrize("refusal", [PermissionError(errno.EACCES, "Permission denied"), DiskFull()])
def test_what_cannot_be_kept_is_made_each_time(
    folder: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    def refuse(_path: Path, _content: bytes) -> None:
        raise refusal

    sha256 = folder.put(png())
    monkeypatch.setattr(files, "_write", refuse)
    made = [folder.thumbnail(sha256), folder.plain(sha256), folder.shared(sha256)]
    monkeypatch.undo()
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
    assert made == [folder.thumbnail(sha256), folder.plain(sha256), folder.shared(sha256)]


def test_removing_a_file_removes_what_is_derived_from_it(folder: ImageFiles, tmp_path: Path) -> None:
    kept, gone = folder.put(png(seed=1)), folder.put(png(seed=2))
    for derive in (folder.thumbnail, folder.plain):
        derive(kept)
        derive(gone)
    folder.remove(gone)
    folder.remove(gone)
    names = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(names) == sorted(f"{kept}{suffix}" for suffix in (".png", ".webp", ".plain.png"))


def test_old_files_are_listed_and_unfinished_ones_deleted(folder: ImageFiles) -> None:
    sha256 = folder.put(png())
    unfinished = folder.find(sha256).parent / ".0123.tmp"
    unfinished.write_bytes(b"half")
    assert list(folder.old(60)) == []
    for path in (folder.find(sha256), unfinished):
        os.utime(path, (time.time() - 100, time.time() - 100))
    assert list(folder.old(60)) == [sha256]
    assert not unfinished.exists()
    folder.put(png())
    assert list(folder.old(60)) == []


def test_what_goes_while_old_files_are_listed_is_passed_over(folder: ImageFiles) -> None:
    sha256 = folder.put(png())
    folder.thumbnail(sha256)
    listed = folder.old(-60)
    assert next(listed) == sha256
    folder.remove(sha256)
    assert list(listed) == []


def test_the_folder_is_synced_after_the_file_has_its_name(folder: ImageFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    replace, sync_folder = Path.replace, files._sync_folder

    def watched_replace(path: Path, target: Any) -> Path:
        order.append("rename")
        return replace(path, target)

    def watched_sync(path: Path) -> None:
        order.append("sync folder")
        sync_folder(path)

    folder.put(png(seed=1))
    monkeypatch.setattr(Path, "replace", watched_replace)
    monkeypatch.setattr(files, "_sync_folder", watched_sync)
    folder.put(png(seed=2))
    assert order.index("rename") < len(order) - 1
    assert order[-1] == "sync folder"


def test_the_shared_copy_opens_as_the_same_picture(folder: ImageFiles) -> None:
    plain = folder.plain(folder.put(png()))
    with Image.open(io.BytesIO(plain)) as image:
        assert image.size == (640, 384)
    assert b"a lake" not in plain
