"""`inspect`: how pictures were made, as far as they say, and what of it this server can do."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from app.cli.flags import add_settings, settings_of
from app.services.catalogue import Catalogue
from app.services.errors import InvalidInput
from app.services.restore import Inspection, inspect
from app.storage.files import ImageFiles


def main(argv: list[str]) -> int:
    """Describe each file. Returns 1 if one of them cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python3 -m app inspect", usage="%(prog)s FILE ... [options]", description="Say how pictures were made."
    )
    parser.add_argument("file", nargs="+", type=Path, help="a PNG, JPEG or WebP file")
    parser.add_argument("--json", action="store_true", help="as JSON, one object a line")
    add_settings(parser, ("checkpoint", "data"))
    arguments = parser.parse_args(argv)
    settings, status = settings_of(parser, arguments), 0
    catalogue, files = Catalogue(settings), ImageFiles(settings.images)
    for path in arguments.file:
        try:
            found = inspect(catalogue, path.read_bytes(), files.has)
        except (OSError, InvalidInput) as error:
            print(f"{path}: {error}", file=sys.stderr)
            status = 1
            continue
        print(json.dumps({"file": str(path), **asdict(found)}) if arguments.json else describe(path, found))
    return status


def describe(path: Path, found: Inspection) -> str:
    """A few lines for a person."""
    size = f"{found.kind.upper()}, {found.width} x {found.height}"
    told = f"made with {found.program}" if found.program else "says nothing of how it was made"
    lines = [f"{path}: {size}, {told}", *([f"  {found.mark}"] if found.mark else [])]
    for title, values in (("restored", found.restored), ("unknown", found.unknown), ("impossible", found.impossible)):
        lines += [f"  {title}:"] if values else []
        lines += [f"    {name}: {value}" for name, value in values.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
