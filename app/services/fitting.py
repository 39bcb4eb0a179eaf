"""Bringing a picture and its mask to the size that is asked for, as A1111 does; and masks out of what clients send.

Works on PNG files that `pictures` has decoded and written anew, so none of them is a stranger's any more.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from PIL import Image, ImageChops, ImageOps
from pydantic import ValidationError

from app.services import pictures
from app.services.edit import Sources
from app.services.errors import InvalidInput, ServiceError
from models.edit import Edit
from models.recipe import explain

HALF = 128


class ResizeMode(IntEnum):
    """A1111's `resize_mode`; the last works on latents there, and is a plain stretch here."""

    STRETCH = 0
    CROP = 1
    FILL = 2
    LATENT = 3


def decoded(text: str, field: str) -> Image.Image:
    """Return the picture in base64 or a data URI, in RGB, or RGBA where it is transparent. Raises `ServiceError`."""
    if text[:5].lower() in ("http:", "https"):
        message = "This server fetches nothing from elsewhere; send the picture itself, in base64."
        raise ServiceError(422, "remote_urls_disabled", message, field=field)
    return decoded_file(pictures.from_base64(text, field), field)


def decoded_file(content: bytes, field: str) -> Image.Image:
    """Return the picture in a file, made no larger than 2048 pixels a side. Raises `InvalidInput`."""
    picture = Image.open(io.BytesIO(pictures.shrunk_image(content, field).png), formats=["PNG"])
    picture.load()
    return picture


def fit(picture: Image.Image, size: tuple[int, int], mode: ResizeMode) -> Image.Image:
    """Return the picture at `size`: stretched, cropped around its middle, or whole with its edges drawn out."""
    if picture.size == size:
        return picture
    if mode is ResizeMode.CROP:
        return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    if mode is not ResizeMode.FILL:
        return picture.resize(size, Image.Resampling.LANCZOS)
    scale = min(size[0] / picture.width, size[1] / picture.height)
    whole = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return _drawn_out(picture.resize(whole, Image.Resampling.LANCZOS), size)


def _drawn_out(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the picture in the middle of `size`; around it, its outermost columns and then rows go on."""
    width, height = picture.size
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    wide = Image.new(picture.mode, (size[0], height))
    wide.paste(picture.crop((0, 0, 1, height)).resize(wide.size), (0, 0))
    wide.paste(picture.crop((width - 1, 0, width, height)).resize((size[0] - left, height)), (left, 0))
    wide.paste(picture, (left, 0))
    out = Image.new(picture.mode, size)
    out.paste(wide.crop((0, 0, size[0], 1)).resize(size), (0, 0))
    out.paste(wide.crop((0, height - 1, size[0], height)).resize((size[0], size[1] - top)), (0, top))
    out.paste(wide, (0, top))
    return out


def white_mask(mask: Image.Image, *, is_hard: bool, is_inverted: bool) -> Image.Image:
    """Return a mask in grey, white to repaint: its alpha where it has one, else its light (A1111's rule)."""
    grey = mask.getchannel("A") if mask.mode == "RGBA" else mask.convert("L")
    if is_hard:
        grey = grey.point(lambda level: 255 if level > HALF else 0)
    return ImageChops.invert(grey) if is_inverted else grey


def clear_mask(mask: Image.Image) -> Image.Image:
    """Return a mask in grey, white to repaint, where the mask that was sent is transparent (OpenAI's rule)."""
    return ImageChops.invert(mask.getchannel("A"))


def flattened(picture: Image.Image) -> Image.Image:
    """Return the picture on white, as A1111 takes it."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def sources(picture: Image.Image, mask: Image.Image | None, settings: Mapping[str, Any]) -> Sources:
    """Return what an edit begins from; `settings` are fields of `Edit`. Raises `InvalidInput`."""
    png = to_png(picture)
    brought = {hashlib.sha256(png).hexdigest(): png}
    names: dict[str, object] = {"image": next(iter(brought))}
    if mask is not None:
        mask_png = to_png(mask)
        names["mask"] = hashlib.sha256(mask_png).hexdigest()
        brought[str(names["mask"])] = mask_png
    try:
        edit = Edit.model_validate({**names, **settings})
    except ValidationError as error:
        raise InvalidInput(explain(error)) from error
    return Sources(edit, None, brought)


def to_png(picture: Image.Image) -> bytes:
    """Return the picture as a PNG that says nothing but its pixels."""
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
