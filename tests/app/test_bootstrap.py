"""The first start: when the environment is made, when it is left alone, and what a failure says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from app import __main__ as entry
from app import bootstrap

PYPROJECT = """
[project]
name = "mezzotint"
dependencies = ["torch==2.13.0", "fastapi"]
[project.optional-dependencies]
train = ["skia-python"]
dev = ["mezzotint[train]", "pytest"]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "app" / "constraints.txt").write_text("fastapi==0.165.0\n")
    return tmp_path


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Replace pip and the venv module by ones that only note what they were asked for."""
    calls: list[list[str]] = []

    def make(venv: Path, _stamp: dict[str, Any]) -> None:
        python = bootstrap._interpreter(venv)
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()

    monkeypatch.setattr(bootstrap, "_make_venv", make)
    monkeypatch.setattr(bootstrap, "_pip", lambda _python, arguments: calls.append(arguments))
    return calls


def test_an_extra_brings_the_extras_that_it_names() -> None:
    extras = {"x": ["b"], "dev": ["m[x]", "c", "a"]}
    project = {"project": {"name": "m", "dependencies": ["a"], "optional-dependencies": extras}}
    assert bootstrap.requirements(project, None) == ["a"]
    assert bootstrap.requirements(project, "dev") == ["a", "b", "c"]


def test_the_first_start_installs_under_the_constraints(root: Path, installed: list[list[str]]) -> None:
    python = bootstrap.ensure(venv=root / ".venv", root=root)
    assert python.exists()
    assert installed[0][-2:] == ["torch==2.13.0", "fastapi"]
    assert str(root / "app" / "constraints.txt") in installed[0]
    assert not (root / ".venv" / bootstrap.UNFINISHED).exists()


def test_a_later_start_installs_nothing(root: Path, installed: list[list[str]]) -> None:
    for _ in range(2):
        bootstrap.ensure(venv=root / ".venv", root=root)
    assert len(installed) == 1


def test_the_test_tools_are_added_once_and_stay_after_a_renewal(root: Path, installed: list[list[str]]) -> None:
    for extra in (None, "dev", None, "dev"):
        bootstrap.ensure(extra, venv=root / ".venv", root=root)
    assert len(installed) == 2
    (root / "app" / "constraints.txt").write_text("fastapi==0.166.0\n")
    bootstrap.ensure(venv=root / ".venv", root=root)
    assert installed[2][-2:] == ["skia-python", "pytest"]


@pytest.mark.parametrize("name", ["pyproject.toml", "app/constraints.txt"])
def test_a_changed_list_installs_again(root: Path, installed: list[list[str]], name: str) -> None:
    bootstrap.ensure(venv=root / ".venv", root=root)
    (root / name).write_text((root / name).read_text() + "# changed\n")
    bootstrap.ensure(venv=root / ".venv", root=root)
    assert len(installed) == 2


def test_another_python_installs_again(root: Path, installed: list[list[str]]) -> None:
    bootstrap.ensure(venv=root / ".venv", root=root)
    stamp = root / ".venv" / bootstrap.STAMP
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "python": "3.10"}))
    bootstrap.ensure(venv=root / ".venv", root=root)
    assert len(installed) == 2


def test_two_first_starts_install_once(
    root: Path, installed: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def pip(_python: Path, arguments: list[str]) -> None:
        begun.set()
        may_end.wait(10)
        installed.append(arguments)

    monkeypatch.setattr(bootstrap, "_pip", pip)
    monkeypatch.setattr(time, "sleep", lambda _seconds: may_end.set())
    starts = [threading.Thread(target=bootstrap.ensure, kwargs={"venv": root / ".venv", "root": root}) for _ in "ab"]
    starts[0].start()
    assert begun.wait(10)
    starts[1].start()
    for start in starts:
        start.join(10)
    assert len(installed) == 1
    assert "waiting for it" in capsys.readouterr().err


def test_a_killed_installation_is_begun_afresh(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv, commands = root / ".venv", []

    def run(command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        assert [path.name for path in venv.iterdir()] == [bootstrap.UNFINISHED], "it may be killed now, too"
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    bootstrap._interpreter(venv).parent.mkdir(parents=True)
    bootstrap._interpreter(venv).touch()
    bootstrap._make_venv(venv, {})
    assert commands == [], "an environment that somebody else made is used as it is"
    (venv / bootstrap.UNFINISHED).touch()
    (venv / "lib64").symlink_to(root / "app")
    bootstrap._make_venv(venv, {})
    assert len(commands) == 1
    assert (root / "app" / "constraints.txt").exists(), "a link is removed, not where it leads"


def test_an_environment_that_was_killed_before_it_had_pip_is_made_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv, made = root / ".venv", []

    def run(command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        made.append(command)
        bootstrap._interpreter(venv).parent.mkdir(parents=True)
        bootstrap._interpreter(venv).touch()
        if len(made) == 1:
            raise KeyboardInterrupt
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(bootstrap, "_pip", lambda _python, _arguments: None)
    with pytest.raises(KeyboardInterrupt):
        bootstrap.ensure(venv=venv, root=root)
    bootstrap.ensure(venv=venv, root=root)
    assert len(made) == 2


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("Failed to establish a new connection: [Errno -2] Name or service not known", "online"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no build for this Python"),
        ("/srv/.venv/bin/python: No module named pip", "Delete that folder"),
    ],
)
def test_a_failure_of_pip_says_what_would_help(tmp_path: Path, output: str, remedy: str) -> None:
    pip = tmp_path / "python"
    pip.write_text(f"#!{sys.executable}\nprint({output!r})\nraise SystemExit(1)\n")
    pip.chmod(0o755)
    with pytest.raises(bootstrap.SetupError, match=remedy) as caught:
        bootstrap._pip(pip, ["install", "torch"])
    assert output in str(caught.value)


def test_a_python_without_venv_names_the_package() -> None:
    message = bootstrap._explain_venv("The virtual environment was not created because ensurepip is not available.")
    assert f"apt-get install python{bootstrap.python_version()}-venv" in message


def test_it_refuses_an_old_python(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert entry.main([]) == 2
    assert "3.11 or newer" in capsys.readouterr().err


@pytest.mark.parametrize(("argv", "status"), [(["--help"], 0), (["help"], 0), (["paint"], 2)])
def test_help_and_slips_of_the_pen_need_no_installation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str], status: int
) -> None:
    monkeypatch.delenv("MEZZOTINT_NO_VENV", raising=False)
    monkeypatch.setattr(bootstrap, "ensure", lambda _extra: pytest.fail("it would install"))
    assert entry.main(argv) == status
    assert "usage: python3 -m app" in "".join(capsys.readouterr())


def test_byte_code_is_kept_even_where_none_may_be_written_beside_the_modules(tmp_path: Path) -> None:
    given = {"HOME": "/home/me", "PYTHONDONTWRITEBYTECODE": "1"}
    assert entry.environment(given, tmp_path) == {"HOME": "/home/me", "PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode")}
    own = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/mine"}
    assert entry.environment(own, tmp_path) == {"PYTHONPYCACHEPREFIX": "/mine"}
    assert entry.environment({"HOME": "/home/me"}, tmp_path) == {"HOME": "/home/me"}


def test_without_a_virtual_environment_it_stays_in_its_interpreter() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "app", "keys", "--help"],
        env={**os.environ, "MEZZOTINT_NO_VENV": "1"},
        cwd=bootstrap.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith("usage: python3 -m app keys")
    assert ran.stderr == ""
