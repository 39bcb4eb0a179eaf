"""A part that was repainted, back in the picture that it is of: for clients that expect every pixel of what they sent.

Our own pictures have sides that are multiples of 8; the few columns and rows beyond that stay as they were.
"""

from __future__ import annotations

import io

from PIL import Image

from app.metadata.chunks import read_texts
from app.metadata.png import encode_png
from app.metadata.xmp import COMPOSITE, source_type
from app.services.store import Store
from app.services.views import JobView
from models.recipe import Recipe


def at_full_size(store: Store, job: JobView, png: bytes) -> bytes:
    """Return the PNG of a job, at the size of the picture it began from where only a part of that was worked on."""
    edit = job.recipe.edit
    if edit is None or not edit.only_masked:
        return png
    try:
        ground = Image.open(store.files.find(edit.image), formats=["PNG"])
    except (FileNotFoundError, ValueError):
        return png
    with ground, Image.open(io.BytesIO(png), formats=["PNG"]) as part:
        if part.size == ground.size:
            return png
        whole = ground.convert("RGB")
        whole.paste(part.convert("RGB"), (0, 0))
    return _like(store, job, png, whole)


def _like(store: Store, job: JobView, png: bytes, picture: Image.Image) -> bytes:
    """Return the picture as a PNG that says of itself what `png` said."""
    texts = read_texts(png)
    shown: Recipe | None = job.recipe if store.settings.prompt_in_files and job.image is not None else None
    environment = job.image.environment if job.image else {}
    term = (source_type(texts.xmp) if texts else None) or COMPOSITE
    return encode_png(picture.tobytes(), *picture.size, shown, environment, term)
