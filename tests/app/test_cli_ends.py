"""Where the output of a command ends: in a pipe that nobody reads, another encoding, a folder, a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
from errno import ENOSPC
from pathlib import Path

import pytest

from app import cli
from app.bootstrap import ROOT
from app.cli import generate
from app.places import embedded_path


def test_a_reader_that_has_seen_enough_ends_a_command_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "app", "checkpoints", "inspect", str(embedded_path())]
    try:
        ran = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "MEZZOTINT_NO_VENV": "1"},
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert (ran.returncode, ran.stderr) == (cli.READER_GONE, "")


def test_signs_that_a_terminal_lacks_are_written_as_numbers(tmp_path: Path) -> None:
    (tmp_path / "Nähe ✓.png").write_text("no picture")
    ran = subprocess.run(
        [sys.executable, "-m", "app", "inspect", "Nähe ✓.png", f"--data={tmp_path}"],
        cwd=tmp_path,
        env={**os.environ, "MEZZOTINT_NO_VENV": "1", "PYTHONIOENCODING": "ascii:strict", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.decode("ascii").startswith("N\\xe4he \\u2713.png: ")


def test_generate_refuses_a_folder_before_it_draws(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "_load", lambda *_: pytest.fail("it is loaded"))
    argv = ["a lake", f"--checkpoint={tiny_checkpoint}", f"--output={tmp_path}"]
    with pytest.raises(SystemExit):
        generate.main(argv)
    assert f"--output: {tmp_path} is a folder; name a file in it" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "lake.png"
    generate._write(target, b"old")

    def fill(file: Path, _content: bytes) -> None:
        file.touch()
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(OSError, match="No space left"):
        generate._write(target, b"new")
    assert target.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["lake.png"]
