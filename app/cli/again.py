"""`generate --again`: the picture of a file's recipe once more, from the files that the recipe names by their hash."""

from __future__ import annotations

import argparse
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from app.metadata.read import read_recipe
from app.services import pictures
from app.services.edit import Sources
from app.services.errors import InvalidInput
from app.settings import Settings
from app.storage.files import ImageFiles
from models.edit import Edit
from models.recipe import Recipe

ALLOWED = {"again", "image", "mask", "output", "quiet", *Settings.model_fields}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the flag."""
    parser.add_argument(
        "--again",
        type=Path,
        metavar="FILE",
        help="instead of PROMPT: make the picture of this PNG, JPEG or WebP file again, by the recipe that is in it; "
        "what an edit began from is looked for in the data folder, or given with --image and --mask",
    )


def recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe of the file. Raises `InvalidInput` for a file without one, and where another flag contradicts."""
    said = [name for name, value in vars(arguments).items() if name not in ALLOWED and value not in (None, False)]
    if said:
        raise InvalidInput([{"field": name, "message": "The recipe of --again says this already."} for name in said])
    found = read_recipe(arguments.again.read_bytes())
    if found is None:
        raise InvalidInput([{"field": "again", "message": f"{arguments.again} holds no recipe of this program."}])
    if found.edit is None and (arguments.image or arguments.mask):
        name = "image" if arguments.image else "mask"
        raise InvalidInput([{"field": name, "message": "The picture of --again was made from its prompt alone."}])
    return found


def sources(arguments: argparse.Namespace, settings: Settings, edit: Edit) -> Sources:
    """The picture and mask that an edit began from, known by their hash. Raises `InvalidInput` if one is not found."""
    files = ImageFiles(settings.images)
    image = _found(files, "image", edit.image, arguments.image, lambda content: pictures.image(content, "image").png)
    brought = {edit.image: image}
    if edit.mask is not None:
        with Image.open(io.BytesIO(image), formats=["PNG"]) as opened:
            width, height = opened.size

        def as_kept(content: bytes) -> bytes:
            return pictures.mask(content, "mask", width, height, is_scaled=True).png

        brought[edit.mask] = _found(files, "mask", edit.mask, arguments.mask, as_kept)
    return Sources(edit, None, brought)


def _found(files: ImageFiles, name: str, sha256: str, path: Path | None, as_kept: Callable[[bytes], bytes]) -> bytes:
    """The bytes of a hash: those of a file that is given, as they are or as they are kept once they are read."""
    noun = "picture" if name == "image" else "mask"
    if path is None:
        try:
            return files.find(sha256).read_bytes()
        except FileNotFoundError as error:
            message = (
                f"The {noun} that it began from (sha256:{sha256}) is not in the data folder; give it with --{name}."
            )
            raise InvalidInput([{"field": "again", "message": message}]) from error
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        content = as_kept(content)
    if hashlib.sha256(content).hexdigest() != sha256:
        message = f"This is not the {noun} that the file of --again began from (sha256:{sha256})."
        raise InvalidInput([{"field": name, "message": message}])
    return content
