"""Makes `.venv` with what `pyproject.toml` asks for, once, and knows when that has to be done again.

Standard library only, since it runs before anything is installed. It does not know the commands of the program.
The versions are those of `constraints.txt`; which builds of them pip takes is a matter of the machine's pip settings.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = "mezzotint.json"  # in .venv; written last, so that it vouches for a complete installation
UNFINISHED = "mezzotint.unfinished"  # in .venv; there while an installation runs, so that a killed one is noticed
TAIL = 12  # lines of pip's output that a failure shows

REMEDIES = (
    (r"No space left|Errno 28", "The disk is full. An installation takes about 1.5 GB with a CPU build of torch."),
    (
        r"NewConnectionError|Name or service not known|Temporary failure in name|Network is unreachable|ConnectTimeout|"
        r"getaddrinfo|ProxyError|Max retries exceeded|nodename nor servname",
        "The packages could not be fetched. Is this machine online, and does it need a proxy or a mirror "
        "(HTTPS_PROXY, PIP_INDEX_URL)? What is installed already is kept in pip's cache.",
    ),
    (
        r"No matching distribution|Could not find a version",
        "A package has no build for this Python or this machine. Python 3.11, 3.12 and 3.13 on 64-bit Linux, macOS "
        "and Windows are known to have all of them.",
    ),
    (r"Permission denied|Errno 13", f"The folder {VENV} cannot be written by this user."),
    (r"No module named pip", f"Another program made {VENV}, without pip. Delete that folder, and it is made anew."),
)


class SetupError(Exception):
    """The environment cannot be made; the message says why and what would help."""


def ensure(extra: str | None = None, *, venv: Path = VENV, root: Path = ROOT) -> Path:
    """Return the interpreter of a complete environment, which is made or renewed where necessary.

    `extra` names optional dependencies of `pyproject.toml` that are wanted too. Raises `SetupError`.
    """
    if _is_complete(venv, root, extra):
        return _interpreter(venv)
    with _lock(root):
        if not _is_complete(venv, root, extra):
            _install(venv, root, extra)
    return _interpreter(venv)


def requirements(pyproject: dict[str, Any], extra: str | None) -> list[str]:
    """List the dependencies, with those of `extra` and of the extras that it names in turn."""
    project = pyproject["project"]
    if extra is None:
        return list(project["dependencies"])
    wanted, own = requirements(pyproject, None), re.compile(re.escape(project["name"]) + r"\[(\w+)\]")
    for line in project["optional-dependencies"][extra]:
        nested = own.fullmatch(line.strip())
        further = requirements(pyproject, nested.group(1)) if nested else [line]
        wanted += [item for item in further if item not in wanted]
    return wanted


def fingerprint(root: Path) -> str:
    """Hash the two files that decide what is installed."""
    files = (root / "pyproject.toml", root / "app" / "constraints.txt")
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def python_version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _interpreter(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _stamp(venv: Path) -> dict[str, Any]:
    try:
        stamp = json.loads((venv / STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _is_complete(venv: Path, root: Path, extra: str | None) -> bool:
    stamp = _stamp(venv)
    return (
        stamp.get("python") == python_version()
        and stamp.get("fingerprint") == fingerprint(root)
        and (extra is None or extra in stamp.get("extras", ()))
        and _interpreter(venv).exists()
    )


def _install(venv: Path, root: Path, extra: str | None) -> None:
    import tomllib  # here, for it is missing in a Python that is too old, which deserves a better message

    started, before = time.monotonic(), _stamp(venv)
    extras = sorted({*before.get("extras", ()), *([extra] if extra else [])})
    wanted: list[str] = []
    for name in [None, *extras]:
        listed = requirements(tomllib.loads((root / "pyproject.toml").read_text("utf-8")), name)
        wanted += [item for item in listed if item not in wanted]
    _say(
        f"Setting up {venv.name}: about a minute when pip has the packages already, else as long as the download takes."
    )
    _make_venv(venv, before)
    (venv / UNFINISHED).touch()  # in one that was there, too
    (venv / STAMP).unlink(missing_ok=True)
    _pip(_interpreter(venv), ["install", "--no-compile", "-c", str(root / "app" / "constraints.txt"), *wanted])
    stamp = {"python": python_version(), "fingerprint": fingerprint(root), "extras": extras}
    (venv / STAMP).write_text(json.dumps(stamp), "utf-8")
    (venv / UNFINISHED).unlink()
    _say(f"Done in {time.monotonic() - started:.0f} s. From now on it starts at once.")


def _make_venv(venv: Path, stamp: dict[str, Any]) -> None:
    """Make the environment. One that fits is kept; so is one that this program did not make."""
    is_stale = (venv / UNFINISHED).exists() or stamp.get("python", python_version()) != python_version()
    if _interpreter(venv).exists() and not is_stale:
        return
    if Path(sys.prefix).resolve() == venv.resolve():
        raise SetupError(f"{venv} is incomplete. Run the command with the Python outside it, or delete the folder.")
    _clear(venv)
    made = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True)
    if made.returncode != 0:
        raise SetupError(_explain_venv(made.stdout + made.stderr))


def _clear(venv: Path) -> None:
    """Leave the folder, which may be a link, with nothing in it but the note that it is unfinished.

    The venv module takes seconds, and its own `--clear` would begin with the note: one that was killed had a Python
    without pip, which looked as if somebody else had made it.
    """
    venv.mkdir(exist_ok=True)
    (venv / UNFINISHED).touch()
    for path in venv.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != UNFINISHED:
            path.unlink()


def _explain_venv(output: str) -> str:
    if "ensurepip" in output or "No module named" in output:
        package = f"python{python_version()}-venv"
        return f"This Python has no venv module. On Debian and Ubuntu: sudo apt-get install {package}"
    return f"The environment could not be made.\n{_remedy(output)}\n{output.strip()}"


def _pip(python: Path, arguments: list[str]) -> None:
    """Run pip, showing what it is at. Raises `SetupError` with the end of its output and a remedy."""
    options = ["--progress-bar", "off", "--disable-pip-version-check", "--no-input"]
    command = [str(python), "-m", "pip", *arguments, *options]
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace") as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            lines.append(line.rstrip())
            _show(lines[-1])
    _show("")
    if pip.returncode != 0:
        output = [line for line in lines if line and not line.startswith("WARNING: Location")]
        raise SetupError("pip failed.\n" + "\n".join(output[-TAIL:]) + f"\n{_remedy(' '.join(output))}")


def _remedy(output: str) -> str:
    return next((remedy for pattern, remedy in REMEDIES if re.search(pattern, output)), "")


def _show(line: str) -> None:
    """Keep one line up to date on a terminal; in a log, write the two moments that take long."""
    words = line.split()
    if sys.stderr.isatty():
        text = f"  {' '.join(words[:2])}" if words and words[0] in ("Collecting", "Downloading", "Installing") else ""
        if text or not line:
            sys.stderr.write(f"\r{text[:78]:<78}" if text else f"\r{'':<78}\r")
            sys.stderr.flush()
    elif words[:2] == ["Installing", "collected"]:
        _say(f"  unpacking {len(words) - 3} packages")


@contextmanager
def _lock(root: Path) -> Iterator[None]:
    """Let one process at a time install. The lock sits on a file that is there anyway, and ends with its process."""
    with (root / "app" / "constraints.txt").open("rb") as file:
        if os.name == "nt":
            import msvcrt

            _wait_for(lambda: msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1))  # type: ignore[attr-defined]
        else:
            import fcntl

            _wait_for(lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB))
        yield


def _wait_for(take: Callable[[], object]) -> None:
    is_told = False
    while True:
        try:
            take()
            return
        except OSError:
            if not is_told:
                _say("Another start is setting up the environment; waiting for it.")
            is_told = True
            time.sleep(0.2)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
