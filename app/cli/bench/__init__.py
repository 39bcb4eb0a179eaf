"""`bench`: what this machine does in which time. Measures with the program's own parts, and asserts nothing."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from app.cli.bench.figure import Figure
from app.cli.bench.machine import machine
from app.cli.bench.plot import plot
from app.cli.flags import add_settings, settings_of
from app.settings import Settings

__all__ = ["Figure", "main", "own_folder"]

ALL = "all"
Part = Callable[..., Iterator[Figure]]
PARTS = {
    "start": "from the start of the process to the page, and to the first picture",
    "unet": "a step of Stable Diffusion 1.5 at 512 pixels beside diffusers; three minutes, so only where it is named",
    "vae": "decoding a picture of 512 pixels beside diffusers; two minutes, so only where it is named",
    "image": "one picture alone, in this process, with the checkpoint's defaults, beside diffusers",
    "together": "eight jobs posted at once, and the same one after another",
    "serve": "eight users whose wishes differ, beside diffusers behind a lock; previews, and pages meanwhile",
    "fair": "polite users beside a greedy one, by the engine alone",
    "queue": "1,000 jobs: a POST while they pile up, and choosing who is next",
    "gallery": "a page of 100,000 images",
    "canvas": "a dab of the brush in a real browser without a GPU",
    "gpu": "Stable Diffusion 1.5 on a GPU beside diffusers; only where it is named",
    "parity": "Stable Diffusion 1.5 and 2.1 in full size against diffusers; takes minutes and 10 GB of memory",
}
NAMED_ONLY = ("gpu",)  # not even measured with all
LONG = ("unet", "vae", "parity", *NAMED_ONLY)
BY_DEFAULT = tuple(name for name in PARTS if name not in LONG)


def main(argv: list[str]) -> int:
    """Measure and print a table. Returns 1 if a part could not be measured."""
    about = "; ".join(f"{name}: {text}" for name, text in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python3 -m app bench",
        usage="%(prog)s [PART ...] [options]",
        description="Measure this machine.",
        epilog=about,
    )
    parser.add_argument(
        "part", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}, all (default: all but {', '.join(LONG)})"
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds; of all, without the parts that know no quicker way"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them there, as SVG")
    add_settings(parser, ("checkpoint", "device", "dtype", "compile", "data"))
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.part if name not in (*PARTS, ALL)]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; choose of {', '.join(PARTS)}")
    settings = settings_of(parser, arguments)
    taken, host = datetime.now(UTC).isoformat(timespec="seconds"), machine()
    chosen = _chosen(arguments.part, quick=arguments.quick)
    parts = {name: _measured(name, settings, quick=arguments.quick) for name in chosen}
    if arguments.json:
        lists = {name: [asdict(figure) for figure in figures] for name, figures in parts.items()}
        arguments.json.write_text(json.dumps({"date": taken, "machine": host, **lists}, indent=2) + "\n")
    if arguments.plot:
        caption = f"{taken}, {host['processor']}, {host['cores']} cores, torch {host['torch']}"
        arguments.plot.write_text(plot(parts, caption))
    return 0 if all(parts.values()) else 1


def _chosen(named: list[str], *, quick: bool) -> Sequence[str]:
    """The parts to measure; of a quick round of all those are left out that are long and know no quicker way."""
    if ALL not in named:
        return named or BY_DEFAULT
    parts = [name for name in PARTS if name not in NAMED_ONLY]
    return [name for name in parts if not (quick and name in LONG and not _knows_quick(name))]


def _knows_quick(name: str) -> bool:
    return "quick" in inspect.signature(_part(name)).parameters


def _part(name: str) -> Part:
    part: Part = import_module(f"app.cli.bench.{name}").measure
    return part


@contextmanager
def own_folder(settings: Settings) -> Iterator[Settings]:
    """The same settings on an empty data folder, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="mezzotint-bench-") as folder:
        changes = {"data": Path(folder) / "data", "port": 0, "max_pending": 10_000}
        yield settings.model_copy(update=changes)


def _measured(name: str, settings: Settings, *, quick: bool = False) -> list[Figure]:
    how = {"quick": quick} if _knows_quick(name) else {}
    figures = []
    try:
        for figure in _part(name)(settings, **how):
            print(f"{name:<8} {figure}", flush=True)
            figures.append(figure)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"{name}: not measured: {error}", file=sys.stderr)
    return figures
