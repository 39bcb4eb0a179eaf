"""`checkpoints`: list those that there are, say what is in a file or folder, make a pickle loadable. Loads none."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from app.cli.flags import add_settings, settings_of
from app.places import look
from app.services.catalogue import Catalogue
from app.settings import Settings
from models.checkpoint.convert import convert
from models.checkpoint.facts import CheckpointError, CheckpointFacts, inspect

FOLDERS = ("checkpoints", "data")
PLACES = ("checkpoint", *FOLDERS)


def main(argv: list[str]) -> int:
    """List, inspect or convert. Returns 1 if something cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python3 -m app checkpoints", description="List, inspect and convert checkpoints, loading none."
    )
    parts = parser.add_subparsers(dest="part", metavar="PART")
    listing = parts.add_parser("list", help="those that serve offers (what happens without a part)")
    inspecting = parts.add_parser("inspect", help="what is in a checkpoint")
    inspecting.add_argument("path", nargs="+", type=Path, help="a folder in the layout of diffusers, or a single file")
    converting = parts.add_parser("convert", help="write the weights of a pickle as a .safetensors file beside it")
    converting.add_argument(
        "file",
        nargs="+",
        type=Path,
        help="a .ckpt, .bin or .pt file, which is left as it is; or the name that the page gives it",
    )
    converting.add_argument("--replace", action="store_true", help="write a .safetensors file anew that is there")
    for part in (listing, inspecting):
        part.add_argument("--json", action="store_true", help="as JSON, one object a line")
    add_settings(listing, PLACES)
    add_settings(converting, FOLDERS)
    arguments = parser.parse_args(argv if argv[:1] and argv[0] in (*parts.choices, "-h", "--help") else ["list", *argv])
    match arguments.part:
        case "inspect":
            return _inspect(arguments.path, arguments.json)
        case "convert":
            settings = settings_of(converting, arguments)
            return _convert([_found(file, settings) for file in arguments.file], arguments.replace)
        case _:
            return _list(Catalogue(settings_of(parser, arguments)), arguments.json)


def describe(facts: CheckpointFacts) -> str:
    """A few lines for a person."""
    kind = f"{facts.family}{', inpainting' if facts.inpainting else ''}, predicts: {facts.prediction_type}"
    formats = ", ".join(facts.dtypes)
    lines = [
        f"{facts.name}: {facts.title}",
        f"  {facts.path} ({facts.layout}, {facts.bytes / 1e6:.0f} MB, {formats})",
        f"  {kind}, {facts.width} x {facts.height} pixels, {facts.latent_channels} latent channels",
    ]
    if facts.defaults:
        lines.append(f"  defaults: {', '.join(f'{name} {value}' for name, value in facts.defaults.items())}")
    if facts.missing:
        lines.append(f"  taken from the family, since it is not there: {', '.join(facts.missing)}")
    if facts.ignored:
        lines.append(f"  {facts.ignored} tensors that are not needed are left out")
    return "\n".join([*lines, *(f"  note: {warning}" for warning in facts.warnings)])


def _list(catalogue: Catalogue, as_json: bool) -> int:
    for facts in catalogue.checkpoints():
        _show(facts, as_json)
    found = catalogue.problems.items()
    return _problems([text if path in text else f"{path}: {text}" for path, text in found])


def _inspect(paths: list[Path], as_json: bool) -> int:
    problems = []
    for path in paths:
        try:
            _show(inspect(path), as_json)
        except CheckpointError as error:
            problems.append(str(error))
    return _problems(problems)


def _found(file: Path, settings: Settings) -> Path:
    """The path of a file that is named as pages name it: without the folder in which its checkpoint lies."""
    if file.exists() or file.is_absolute():
        return file
    beside = [path.parent / file for path in look(settings).paths if path.name == file.parts[0]]
    return next((path for path in beside if path.exists()), file)


def _convert(files: list[Path], replace: bool) -> int:
    problems = []
    for file in files:
        try:
            print(convert(file, replace=replace))
        except CheckpointError as error:
            problems.append(str(error))
    return _problems(problems)


def _show(facts: CheckpointFacts, as_json: bool) -> None:
    print(facts.model_dump_json() if as_json else describe(facts))


def _problems(problems: list[str]) -> int:
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)
    return 1 if problems else 0
