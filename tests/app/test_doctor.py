"""The doctor finds what is wrong, says what would help, and changes nothing."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.cli import doctor
from app.cli.doctor import Finding, findings
from app.settings import Settings
from app.storage.store import Store
from tests.app.storing import finished_image


def of(topic: str, settings: Settings) -> list[Finding]:
    return [finding for finding in findings(settings) if finding.topic == topic]


def the(topic: str, settings: Settings) -> Finding:
    (finding,) = of(topic, settings)
    return finding


def test_a_fresh_machine_has_no_problem_and_is_left_alone(settings: Settings) -> None:
    assert [finding for finding in findings(settings) if finding.state == "problem"] == []
    assert the("database", settings).text.startswith("none yet")
    assert not settings.data.exists()


def test_it_says_what_torch_has(settings: Settings) -> None:
    assert "build" in the("torch", settings).text
    assert "float32" in the("device", settings.model_copy(update={"device": "cpu"})).text


@pytest.mark.parametrize("has", [True, False])
def test_it_says_when_bfloat16_saves_memory_alone(
    settings: Settings, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.devices.has_bfloat16", lambda _: has)
    text = the("device", settings.model_copy(update={"device": "cpu", "dtype": "bfloat16"})).text
    assert ("half the memory, no faster" in text) == (not has)


def test_it_says_whether_networks_are_compiled_and_by_what(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert the("compile", settings).text.startswith("off")
    compiling = settings.model_copy(update={"compile": True})
    monkeypatch.setattr("app.engine.compiling.COMPILERS", ("sh",))
    assert the("compile", compiling).text.startswith("on, by sh; 0 sizes")
    monkeypatch.setattr("app.engine.compiling.COMPILERS", ("no-such-compiler",))
    assert the("compile", compiling).state == "warning"


def test_a_device_that_is_not_there_is_a_problem(settings: Settings) -> None:
    finding = of("torch", settings.model_copy(update={"device": "mps"}))[-1]
    assert finding.state == "problem"
    assert "'mps' is not available" in finding.text


def test_a_default_checkpoint_that_cannot_be_used_is_a_problem(settings: Settings, tmp_path: Path) -> None:
    (finding,) = [
        finding
        for finding in of("checkpoint", settings.model_copy(update={"checkpoint": str(tmp_path)}))
        if str(tmp_path) in finding.text
    ]
    assert finding.state == "problem"
    assert "--checkpoint" in finding.remedy


def test_a_sound_database_is_ok(settings: Settings) -> None:
    Store(settings).close()
    assert {finding.state for finding in of("database", settings)} == {"ok"}


def test_a_database_of_a_newer_program_is_a_problem(settings: Settings) -> None:
    Store(settings).close()
    with closing(sqlite3.connect(settings.data / "mezzotint.sqlite3")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    finding = of("database", settings)[0]
    assert (finding.state, "9999" in finding.text) == ("problem", True)


def test_a_file_that_is_no_database_is_a_problem(settings: Settings) -> None:
    settings.data.mkdir()
    (settings.data / "mezzotint.sqlite3").write_bytes(b"not a database, but long enough to be one" * 10)
    assert the("database", settings).state == "problem"


def test_lost_image_files_are_a_problem(settings: Settings) -> None:
    store = Store(settings)
    finished_image(store, "alice")
    store.close()
    assert the("images", settings).state == "ok"
    shutil.rmtree(settings.images)
    finding = the("images", settings)
    assert (finding.state, finding.text) == ("problem", "1 images, 1 without their file")


def test_a_full_disk_is_a_problem(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    assert the("disk", settings).state == "problem"


def test_a_port_that_is_taken_is_a_warning(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = settings.model_copy(update={"port": other.getsockname()[1]})
        assert the("port", taken).state == "warning"


def test_no_browser_is_only_a_warning(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEZZOTINT_BROWSER", str(tmp_path / "none"))
    assert the("browser", settings).state == "warning"


def test_the_exit_status_tells_whether_there_is_a_problem(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--data={settings.data}", "--json"]
    assert doctor.main([*flags, f"--checkpoint={settings.checkpoint}"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"topic", "state", "text", "remedy"} == set(lines[0])
    assert doctor.main([*flags, f"--checkpoint={tmp_path}"]) == 1


def test_a_line_carries_its_remedy() -> None:
    assert doctor.line(Finding("disk", "warning", "1 GiB free", "Free some.")).endswith("-> Free some.")
