"""A data folder in which nothing can be kept: the commands say so in a line, before they begin anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.cli import keys, serve
from app.engine.child import Child
from app.settings import Settings
from app.storage.store import Store

COMMANDS = {"serve": (serve.main, ["--port=0"]), "keys": (keys.main, ["list"])}


def _file(data: Path) -> None:
    data.write_text("no folder")


def _newer(data: Path) -> None:
    Store(Settings(data=data)).close()
    with closing(sqlite3.connect(data / "mezzotint.sqlite3")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999_later'")


def _no_database(data: Path) -> None:
    data.mkdir()
    (data / "mezzotint.sqlite3").write_bytes(b"not a database, but long enough to be one" * 10)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_file, "cannot be written (File exists); name a folder of yours"),
        (_newer, "'9999_later', made by a newer Mezzotint"),
        (_no_database, "file is not a database); restore a copy"),
    ],
)
def test_a_data_folder_that_cannot_be_used_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    spoil: Callable[[Path], None],
    said: str,
) -> None:
    monkeypatch.setattr(Child, "__init__", lambda _self, _command: pytest.fail("an engine was started"))
    spoil(tmp_path / "data")
    main, argv = COMMANDS[command]
    with pytest.raises(SystemExit) as ended:
        main([*argv, f"--data={tmp_path / 'data'}"])
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert "--data (MEZZOTINT_DATA): " in told
    assert said in told


def test_a_database_that_a_kill_left_empty_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mezzotint.sqlite3").touch()
    assert keys.main(["list", f"--data={tmp_path}"]) == 0
    assert capsys.readouterr().out == ""


def test_a_data_folder_may_have_any_name(tmp_path: Path) -> None:
    data = tmp_path / "what? 100%20 sure #1"
    assert keys.main(["create", "--name=one", f"--data={data}"]) == 0
    assert (data / "mezzotint.sqlite3").exists()
    assert [path.name for path in tmp_path.iterdir()] == [data.name]
