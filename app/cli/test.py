"""`test`: the whole suite, or what pytest's arguments choose of it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

from app.bootstrap import ROOT

THREADS = {"OMP_NUM_THREADS": "1"}  # on networks this small, threads that wait for each other only cost time


def main(argv: list[str]) -> int:
    """Run pytest in the program's own folder. Returns pytest's exit status."""
    if find_spec("pytest") is None:
        print("The test tools are missing here: pip install the `dev` extra of pyproject.toml.", file=sys.stderr)
        return 1
    return subprocess.call([sys.executable, "-m", "pytest", *argv], cwd=ROOT, env=THREADS | os.environ)
