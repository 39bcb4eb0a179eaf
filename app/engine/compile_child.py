"""The process that compiles a U-Net for one size of calls, and ends. Whatever goes wrong here harms no picture.

Run as `python -m app.engine.compile_child`. The last line of its standard error says what went wrong.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

NICENESS = 19
OUR_GROUP = 0


def main(argv: list[str] | None = None) -> int:
    """Compile, and return 0; 1 if that cannot be done. Ends with the standard input, compilers too."""
    parser = argparse.ArgumentParser(prog="python -m app.engine.compile_child")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--form", type=int, nargs=4, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--target", type=Path, required=True)
    arguments = parser.parse_args(argv)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    with suppress(OSError):
        os.nice(NICENESS)
    with tempfile.TemporaryDirectory(dir=arguments.target.parent, prefix=".") as work:
        tempfile.tempdir = work  # where inductor leaves all that it writes
        try:
            _compile(arguments)
        except Exception as error:
            sys.stderr.write(f"\n{type(error).__name__}: {' '.join(str(error).split())[:300]}\n")
            return 1
    return 0


def _compile(arguments: argparse.Namespace) -> None:
    import torch

    from models.checkpoint.loading import load
    from models.compiled import Form, build

    torch.set_num_threads(arguments.threads)
    build(load(arguments.checkpoint).unet, Form(*arguments.form), arguments.target)


def _end_with_stdin() -> None:
    with suppress(OSError):
        while os.read(sys.stdin.fileno(), 1024):
            pass
    if os.getpgrp() == os.getpid():  # the compilers that we started are in it, and nobody else
        os.killpg(OUR_GROUP, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
