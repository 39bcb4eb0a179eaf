"""The commands of `python3 -m app`, one module each. Only the module of the command that runs is imported."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from io import TextIOWrapper

READER_GONE = 141  # what a shell says of a program that SIGPIPE ended


@dataclass(frozen=True, slots=True)
class Command:
    """A command: the module whose `main(argv) -> int` runs it, and what it is for."""

    module: str
    summary: str


COMMANDS = {
    "serve": Command("app.cli.serve", "serve the pages and the API (what happens without a command)"),
    "generate": Command("app.cli.generate", "make pictures of one prompt and write them as PNG files"),
    "checkpoints": Command("app.cli.checkpoints", "list checkpoints, say what is in one, convert a pickle"),
    "inspect": Command("app.cli.inspect", "say how a picture was made, whoever made it"),
    "keys": Command("app.cli.keys", "make, list and revoke API keys"),
    "doctor": Command("app.cli.doctor", "say what this machine has and what is wrong with it"),
    "bench": Command("app.cli.bench", "measure this machine"),
    "train": Command("models.train.command", "train the embedded model again"),
    "evaluate": Command("models.train.evaluate", "measure how well the embedded model draws what it is asked for"),
    "test": Command("app.cli.test", "run the tests (further arguments go to pytest)"),
    "engine": Command("app.engine.server", "run the engine process alone (serve starts it by itself)"),
}


def is_answered_at_once(argv: list[str]) -> bool:
    """Whether nothing has to be installed for it: the help on all commands, and a command that there is not."""
    return _is_help(argv) or not (argv[:1] == [] or argv[0].startswith("-") or argv[0] in COMMANDS)


def main(argv: list[str]) -> int:
    """Run the command that `argv` begins with, or `serve`. Returns the exit status."""
    if _is_help(argv):
        print(usage())
        return 0
    if not argv or argv[0].startswith("-"):
        argv = ["serve", *argv]
    name, *rest = argv
    if name not in COMMANDS:
        print(f"python3 -m app: there is no command {name!r}.\n\n{usage()}", file=sys.stderr)
        return 2
    _say_what_can_be_said()
    try:
        status: int = import_module(COMMANDS[name].module).main(rest)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read us, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python still flushes at its end
        return READER_GONE
    return status


def _say_what_can_be_said() -> None:
    """Write signs that a terminal or a file of another encoding lacks as their numbers, instead of failing at them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_help(argv: list[str]) -> bool:
    return argv[:1] in (["-h"], ["--help"], ["help"])


def usage() -> str:
    """Describe all commands in a few lines."""
    lines = [f"  {name:<11} {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        ["usage: python3 -m app [command] [options]", "", *lines, "", "Options of one: python3 -m app COMMAND --help"]
    )
