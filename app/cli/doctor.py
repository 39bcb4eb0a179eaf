"""`doctor`: what this machine has and what is wrong with it, each with a remedy. Changes nothing."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from app.cli.browser import find_browser
from app.cli.flags import add_settings, settings_of
from app.places import default_place
from app.services.catalogue import Catalogue
from app.settings import Settings
from app.storage.schema import known_schemas

LOW_BYTES = 2 * 2**30
FULL_BYTES = 2**28
State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: about what, how it is, and what to do about it."""

    topic: str
    state: State
    text: str
    remedy: str = ""


def main(argv: list[str]) -> int:
    """Print the report. Returns 1 if there is a problem."""
    parser = argparse.ArgumentParser(
        prog="python3 -m app doctor", usage="%(prog)s [options]", description="Say what this machine has."
    )
    parser.add_argument("--json", action="store_true", help="as JSON, one object a line")
    add_settings(parser)
    arguments = parser.parse_args(argv)
    worst: State = "ok"
    for finding in findings(settings_of(parser, arguments)):
        print(json.dumps(asdict(finding)) if arguments.json else line(finding), flush=True)
        worst = finding.state if finding.state == "problem" else worst
    return 1 if worst == "problem" else 0


def line(finding: Finding) -> str:
    mark = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}[finding.state]
    remedy = f"\n{'':21}-> {finding.remedy}" if finding.remedy else ""
    return f"{mark}  {finding.topic:<11} {finding.text}{remedy}"


def findings(settings: Settings) -> Iterator[Finding]:
    """Look at one thing after another. What cannot even be looked at is a problem too."""
    looks: dict[str, Callable[[Settings], Iterator[Finding]]] = {
        "python": _python,
        "torch": _torch,
        "compile": _compile,
        "checkpoint": _checkpoints,
        "data": _data,
        "database": _database,
        "port": _port,
        "browser": _browser,
    }
    for topic, look in looks.items():
        try:
            yield from look(settings)
        except (ImportError, OSError, RuntimeError, ValueError, sqlite3.Error) as error:
            yield Finding(topic, "problem", f"{type(error).__name__}: {error}")


def _python(_settings: Settings) -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} in {sys.prefix}, {platform.platform()}")


def _torch(settings: Settings) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    import torch

    from models.devices import has_bfloat16, pick_device, pick_dtype

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    yield Finding(
        "torch", "ok", f"{torch.__version__} ({'Metal' if torch.backends.mps.is_available() else build} build)"
    )
    yield Finding("cores", "ok", f"{cores} cores, torch uses {torch.get_num_threads()} threads")
    device = pick_device(settings.device)
    dtype = str(pick_dtype(settings.dtype, device)).removeprefix("torch.")
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    in_float32 = dtype == "bfloat16" and not has_bfloat16(device)
    how = ", which this processor computes in float32: half the memory, no faster" if in_float32 else ""
    yield Finding("device", "ok", f"{device} ({name}), {dtype}{how}")


def _compile(settings: Settings) -> Iterator[Finding]:
    if not settings.compile:
        yield Finding("compile", "ok", "off: networks are asked as they are (--compile)")
        return
    from app.engine.compiling import compiler_name

    found, made = compiler_name(), len(list(settings.libraries.glob("*.so")))
    if found is None:
        remedy = "Pictures are drawn all the same. On Debian and Ubuntu: sudo apt-get install g++"
        yield Finding("compile", "warning", "on, but there is no C++ compiler", remedy)
        return
    yield Finding("compile", "ok", f"on, by {found}; {made} sizes of calls are compiled in {settings.libraries}")


def _checkpoints(settings: Settings) -> Iterator[Finding]:
    catalogue = Catalogue(settings)
    for facts in catalogue.checkpoints():
        text = f"{facts.name}: {facts.family}, {facts.width} x {facts.height}, {facts.bytes / 1e6:.0f} MB"
        yield Finding("checkpoint", "ok", text)
    place = default_place(settings)
    if place is None:
        text = f"{settings.checkpoint} has not been downloaded yet"
        yield Finding("checkpoint", "warning", text, "The server does that at its start, and generate before it draws.")
    for path, problem in catalogue.problems.items():
        if place and path == str(place[1]):
            yield Finding("checkpoint", "problem", problem, "Name another one with --checkpoint.")
        else:
            yield Finding("checkpoint", "warning", problem, "The others can be used.")


def _data(settings: Settings) -> Iterator[Finding]:
    there = next(folder for folder in (settings.data, *settings.data.absolute().parents) if folder.exists())
    if not os.access(there, os.W_OK):
        yield Finding("data", "problem", f"{there} cannot be written", "Name a folder of yours with --data.")
        return
    yield Finding("data", "ok", f"{settings.data}{'' if there == settings.data else ' (made at the first start)'}")
    free = shutil.disk_usage(there).free
    state: State = "problem" if free < FULL_BYTES else "warning" if free < LOW_BYTES else "ok"
    yield Finding("disk", state, f"{free / 2**30:.1f} GiB free", "" if state == "ok" else "Free some, or move --data.")


def _database(settings: Settings) -> Iterator[Finding]:
    path = settings.database
    if not path.exists():
        yield Finding("database", "ok", "none yet (made at the first start)")
        return
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        yield _schema(database)
        state = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        yield (
            Finding("database", "ok", f"sound, {path.stat().st_size / 1e6:.1f} MB")
            if state == "ok"
            else Finding("database", "problem", state, "Stop the server and restore a copy of the data folder.")
        )
        yield from _images(database, settings)


def _schema(database: sqlite3.Connection) -> Finding:
    known = known_schemas()
    version = database.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    if version in known:
        rest = "" if version == known[-1] else f" (the next start brings it to {known[-1]})"
        return Finding("database", "ok", f"schema {version}{rest}")
    remedy = "It was made by a newer Mezzotint: start that one, or choose another --data."
    return Finding("database", "problem", f"schema {version} is unknown here", remedy)


def _images(database: sqlite3.Connection, settings: Settings) -> Iterator[Finding]:
    from app.storage.files import ImageFiles

    files = ImageFiles(settings.images)
    rows = database.execute("SELECT sha256 FROM images WHERE deleted_at IS NULL").fetchall()
    lost = sum(not files.has(sha256) for (sha256,) in rows)
    remedy = "Restore the folder images/ from a copy; the rows keep the recipes." if lost else ""
    yield Finding("images", "problem" if lost else "ok", f"{len(rows)} images, {lost} without their file", remedy)


def _port(settings: Settings) -> Iterator[Finding]:
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        is_taken = settings.port != 0 and probe.connect_ex((settings.host, settings.port)) == 0
    if is_taken:
        text = f"{settings.host}:{settings.port} answers already"
        yield Finding("port", "warning", text, "If that is not Mezzotint, choose another one with --port.")
        return
    yield Finding("port", "ok", f"{settings.host}:{settings.port} is free")


def _browser(_settings: Settings) -> Iterator[Finding]:
    found: Path | None = find_browser()
    if found is None:
        remedy = "Only the browser tests need one. On Debian and Ubuntu: sudo apt-get install chromium"
        yield Finding("browser", "warning", "no Chromium", remedy)
        return
    yield Finding("browser", "ok", str(found))
