"""Templates that are kept compiled."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from app.web.compiled import CompiledTemplates


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a template, and the file of its filters. Python keeps byte-code, and beside its source."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    (tmp_path / "filters.py").write_text("one")
    (tmp_path / "page.html").write_text("{{ 1 + 1 }} waves")
    return tmp_path


def rendered(folder: Path) -> str:
    cache = CompiledTemplates(folder, filters=folder / "filters.py")
    return Environment(loader=FileSystemLoader(folder), bytecode_cache=cache).get_template("page.html").render()


def kept(folder: Path) -> bytes:
    (file,) = (folder / "__pycache__").iterdir()
    return file.read_bytes()


def test_a_template_is_compiled_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rendered(folder) == "2 waves"
    monkeypatch.setattr(Environment, "_generate", lambda *_, **__: pytest.fail("it was compiled again"))
    assert rendered(folder) == "2 waves"


@pytest.mark.parametrize("name", ["page.html", "filters.py"])
def test_a_change_of_a_template_or_of_the_filters_compiles_it_again(folder: Path, name: str) -> None:
    rendered(folder)
    before = kept(folder)
    (folder / name).write_text("{{ 1 + 1 }} calm waves")
    assert rendered(folder) == ("2 calm waves" if name == "page.html" else "2 waves")
    assert kept(folder) != before


def test_what_is_kept_and_damaged_is_made_again(folder: Path) -> None:
    rendered(folder)
    before = kept(folder)
    (file,) = (folder / "__pycache__").iterdir()
    file.write_bytes(before[: len(before) // 2])
    assert rendered(folder) == "2 waves"
    assert kept(folder) == before


def test_nothing_is_kept_where_python_keeps_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert rendered(folder) == "2 waves"
    assert not (folder / "__pycache__").exists()


def test_a_folder_that_cannot_be_written_stays_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert rendered(folder) == "2 waves"
    assert not (folder / "__pycache__").exists()
