"""A PNG of ours as another kind of file, with all that it says about itself, or with the mark of its source alone."""

from __future__ import annotations

import io
import json
from typing import Literal

from PIL import Image

from app.metadata import xmp
from app.metadata.chunks import JPEG_EXIF, read_texts
from app.metadata.exif import user_comment

KEYWORD = "mezzotint"
PARAMETERS = "parameters"
MAX_SEGMENT = 65_000  # bytes of a JPEG segment, which cannot be longer than 65,533
QUALITY = {"jpeg": 92, "webp": 90}

Kind = Literal["jpeg", "webp"]


def convert(png: bytes, kind: Kind, *, with_recipe: bool = True, quality: int | None = None) -> bytes:
    """Return the picture of a PNG of ours as a JPEG or WebP; `quality` is 1..100.

    A1111's text goes into the EXIF user comment, our JSON into the XMP packet beside the mark. A JPEG leaves out what
    is too long for a segment. Raises `ValueError` for what is no PNG, `OSError` for a damaged one.
    """
    texts = read_texts(png)
    if texts is None or texts.kind != "png":
        raise ValueError("not a PNG of ours")
    own = _ascii(texts.texts.get(KEYWORD, "")) if with_recipe else ""
    comment = user_comment(texts.texts[PARAMETERS]) if with_recipe and PARAMETERS in texts.texts else b""
    term = xmp.source_type(texts.xmp)
    packet = xmp.packet(term, own).encode() if term else b""
    if kind == "jpeg":
        packet = packet if term is None or len(packet) <= MAX_SEGMENT else xmp.packet(term).encode()
        comment = comment if len(comment) <= MAX_SEGMENT else b""
    return _save(png, kind, quality, JPEG_EXIF + comment if comment else b"", packet)


def _save(png: bytes, kind: Kind, quality: int | None, exif: bytes, packet: bytes) -> bytes:
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        picture = image.convert("RGB")
    chosen = QUALITY[kind] if quality is None else max(1, min(100, quality))
    extras = {name: block for name, block in (("exif", exif), ("xmp", packet)) if block}
    out = io.BytesIO()
    picture.save(out, kind.upper(), quality=chosen, **extras)
    return out.getvalue()


def _ascii(text: str) -> str:
    """The same JSON with every other character escaped: XML cannot hold all that JSON can."""
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) if text else ""
