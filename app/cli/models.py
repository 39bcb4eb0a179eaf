"""`models`: the checkpoints that there are, or those that are named, and what is in them; loads none."""

from __future__ import annotations

import argparse
import sys

from app.cli.flags import add_settings, settings_of
from app.services.catalogue import Catalogue
from models.checkpoint.facts import CheckpointError, CheckpointFacts, inspect


def main(argv: list[str]) -> int:
    """List checkpoints. Returns 1 if one of them cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python3 -m app models",
        usage="%(prog)s [PATH ...] [options]",
        description="List checkpoints, loading none.",
    )
    parser.add_argument(
        "path", nargs="*", help="a folder in the layout of diffusers (default: those that serve offers)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, one object a line")
    add_settings(parser, ("checkpoint",))
    arguments = parser.parse_args(argv)
    found, problems = (
        _looked_at(arguments.path) if arguments.path else _offered(Catalogue(settings_of(parser, arguments)))
    )
    for facts in found:
        print(facts.model_dump_json() if arguments.json else describe(facts))
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)
    return 1 if problems else 0


def describe(facts: CheckpointFacts) -> str:
    """A few lines for a person."""
    defaults = ", ".join(f"{name} {value}" for name, value in dict(facts.defaults).items())
    return "\n".join(
        [
            f"{facts.name}: {facts.title}",
            f"  {facts.path}",
            f"  {facts.family}, {facts.prediction_type}, {facts.latent_channels} latent channels",
            f"  {facts.width} x {facts.height} pixels, {facts.bytes / 1e6:.0f} MB{', ' if defaults else ''}{defaults}",
        ]
    )


def _offered(catalogue: Catalogue) -> tuple[list[CheckpointFacts], list[str]]:
    return catalogue.checkpoints(), [f"{path}: {problem}" for path, problem in catalogue.problems.items()]


def _looked_at(paths: list[str]) -> tuple[list[CheckpointFacts], list[str]]:
    found, problems = [], []
    for path in paths:
        try:
            found.append(inspect(path))
        except CheckpointError as error:
            problems.append(f"{path}: {error}")
    return found, problems
