"""`python3 -m app`: enters `.venv`, making it at the first start, and hands over to the commands of `app.cli`.

Standard library only until it runs inside `.venv`; with `MEZZOTINT_NO_VENV=1` (containers) it stays where it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

OLDEST = (3, 11)
EXTRAS = {"test": "dev", "train": "train", "evaluate": "train"}  # optional dependencies that a command needs


def main(argv: list[str]) -> int:
    """Run a command in the right interpreter. Returns the exit status."""
    if sys.version_info < OLDEST:
        needed, found = ".".join(map(str, OLDEST)), ".".join(map(str, sys.version_info[:3]))
        print(f"Mezzotint needs Python {needed} or newer; this is {found}.", file=sys.stderr)
        return 2
    from app import bootstrap, cli

    if os.environ.get("MEZZOTINT_NO_VENV", "") not in ("", "0") or cli.is_answered_at_once(argv):
        return cli.main(argv)

    try:
        python = bootstrap.ensure(EXTRAS.get(argv[0]) if argv else None)
    except (bootstrap.SetupError, OSError) as error:
        print(f"Mezzotint could not be set up. {error}", file=sys.stderr)
        return 1
    if os.path.samefile(sys.prefix, bootstrap.VENV):
        return cli.main(argv)
    return _replace([str(python), "-m", "app", *argv], environment(os.environ, bootstrap.VENV))


def environment(given: Mapping[str, str], venv: Path) -> dict[str, str]:
    """The environment to go on in: byte-code that may not lie beside the modules is kept in `.venv`.

    Without any, all of torch and transformers would be compiled again at each start, which takes as long as the rest.
    """
    own = dict(given)
    if own.pop("PYTHONDONTWRITEBYTECODE", ""):
        own.setdefault("PYTHONPYCACHEPREFIX", str(venv / "bytecode"))
    return own


def _replace(command: list[str], environment: dict[str, str]) -> int:
    """Go on as another program. Windows cannot do that in place, so there it is a child that is waited for."""
    if os.name != "nt":
        os.execve(command[0], command, environment)
    import subprocess

    return subprocess.call(command, env=environment)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
