"""`test`: the whole suite, on several cores, or what pytest's arguments choose of it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from app.__main__ import environment
from app.bootstrap import ROOT

MAX_WORKERS = 4  # each has torch and its networks in memory
THREADS = {"OMP_NUM_THREADS": "1"}  # on networks this small, threads that wait for each other only cost time


def main(argv: list[str]) -> int:
    """Run pytest in the program's own folder. Returns pytest's exit status."""
    if find_spec("pytest") is None:
        print("The test tools are missing here: pip install the `dev` extra of pyproject.toml.", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "pytest", *_workers(argv), *argv]
    return subprocess.call(command, cwd=ROOT, env=THREADS | environment(os.environ, _keeper()))


def _keeper() -> Path:
    """The folder for byte-code where none may be written: or else each worker, server and engine compiles all anew."""
    return Path(sys.prefix) if sys.prefix != sys.base_prefix else ROOT / ".pytest_cache"


def _workers(argv: list[str]) -> list[str]:
    """For the whole suite one worker a core and one more, since those in a browser and of processes wait a lot.

    Starting them is not worth it for a test that is named.
    """
    if any((ROOT / argument.partition("::")[0]).exists() for argument in argv if not argument.startswith("-")):
        return []
    count = min((os.cpu_count() or 1) + 1, MAX_WORKERS)
    return [f"--numprocesses={count}", "--dist=loadfile", "--no-loadscope-reorder"]
