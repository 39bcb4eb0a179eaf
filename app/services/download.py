"""Finished pictures as the files that people and programs want: PNG, JPEG or WebP, with their recipe or without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from app.metadata.png import without_recipe
from app.metadata.write import convert
from app.services import gallery
from app.services.errors import NotFound
from app.storage.store import Store

Kind = Literal["png", "jpeg", "webp"]
ENDINGS: dict[Kind, str] = {"png": "png", "jpeg": "jpg", "webp": "webp"}


def picture(
    store: Store, owner: str, image_id: str, kind: Kind = "png", *, with_recipe: bool = True, quality: int | None = None
) -> bytes:
    """The owner's image as a file of this kind. Raises `NotFound`, also if the file is missing or damaged.

    Without its recipe a file still says that a model made it.
    """
    png = _read(gallery.image_file(store, owner, image_id))
    try:
        if kind == "png":
            return png if with_recipe else without_recipe(png)
        return convert(png, kind, with_recipe=with_recipe, quality=quality)
    except (ValueError, OSError) as error:
        raise NotFound("The file of this image is damaged; its recipe is still there to make it again.") from error


def pictures(store: Store, owner: str, image_ids: list[str], kind: Kind) -> Iterator[tuple[str, bytes]]:
    """Name and content of each of these images that is still there, one after the other."""
    for image_id in image_ids:
        try:
            content = picture(store, owner, image_id, kind)
        except NotFound:
            continue
        yield f"mezzotint-{image_id}.{ENDINGS[kind]}", content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound("The file of this image is missing.") from error
