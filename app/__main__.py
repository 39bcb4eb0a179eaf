"""`python3 -m app`: enters `.venv`, making it at the first start, and hands over to the commands of `app.cli`.

Standard library only until it runs inside `.venv`; with `MEZZOTINT_NO_VENV=1` (containers) it stays where it is.
"""

from __future__ import annotations

import os
import sys

OLDEST = (3, 11)
EXTRAS = {"test": "dev", "train": "train", "evaluate": "train"}  # optional dependencies that a command needs


def main(argv: list[str]) -> int:
    """Run a command in the right interpreter. Returns the exit status."""
    if sys.version_info < OLDEST:
        needed, found = ".".join(map(str, OLDEST)), ".".join(map(str, sys.version_info[:3]))
        print(f"Mezzotint needs Python {needed} or newer; this is {found}.", file=sys.stderr)
        return 2
    if os.environ.get("MEZZOTINT_NO_VENV", "") not in ("", "0"):
        return _command(argv)
    from app import bootstrap

    try:
        python = bootstrap.ensure(EXTRAS.get(argv[0]) if argv else None)
    except (bootstrap.SetupError, OSError) as error:
        print(f"Mezzotint could not be set up. {error}", file=sys.stderr)
        return 1
    if os.path.samefile(sys.prefix, bootstrap.VENV):
        return _command(argv)
    return _replace([str(python), "-m", "app", *argv])


def _command(argv: list[str]) -> int:
    from app.cli import main as command

    return command(argv)


def _replace(command: list[str]) -> int:
    """Go on as another program. Windows cannot do that in place, so there it is a child that is waited for."""
    if os.name != "nt":
        os.execv(command[0], command)
    import subprocess

    return subprocess.call(command)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
