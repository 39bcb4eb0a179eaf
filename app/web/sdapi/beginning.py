"""What `img2img` begins from: the pictures and the mask of a request, at the size that A1111 would work at."""

from __future__ import annotations

from typing import Any

from PIL import Image

from app.services import fitting
from app.services.client_options import Options
from app.services.edit import Sources
from app.services.errors import ServiceError
from app.services.fitting import ResizeMode
from app.services.views import Defaults
from app.web.sdapi import translate
from app.web.sdapi.shapes import DENOISING, ImageRequest
from models.edit import MIN_SIDE, MaskedContent

FILLS = (MaskedContent.FILL, MaskedContent.ORIGINAL, MaskedContent.LATENT_NOISE, MaskedContent.LATENT_NOTHING)


def sources(given: ImageRequest, options: Options, defaults: Defaults) -> list[Sources]:
    """Decode and fit each picture, all with the one mask. Raises `InvalidInput` with A1111's names.

    With a mask and `inpaint_full_res` a picture keeps its own size, and width and height are worked at.
    """
    if not given.init_images:
        raise ServiceError(404, "not_found", "Init image not found; send one in base64.", field="init_images")
    size = translate.sides(given, defaults, [])  # before anything is stretched to it
    return [_source(given, options, defaults, picture, size) for picture in pictures(given)]


def pictures(given: ImageRequest) -> list[Image.Image]:
    """The pictures of a request, on white. Raises `InvalidInput`."""
    names = [f"init_images.{number}" for number in range(len(given.init_images))]
    if len(names) == 1:
        names = ["init_images"]
    return [fitting.flattened(fitting.decoded(*item)) for item in zip(given.init_images, names, strict=True)]


def _source(
    given: ImageRequest, options: Options, defaults: Defaults, picture: Image.Image, size: tuple[int, int]
) -> Sources:
    mask = _mask(given, picture)
    settings: dict[str, Any] = {
        "strength": DENOISING if given.denoising_strength is None else given.denoising_strength,
        "color_match": options.img2img_color_correction,
        "grow": 0,
    }
    mode = ResizeMode(given.resize_mode)
    with translate.their_names():
        if mask is None:
            return fitting.sources(fitting.fit(picture, size, mode), None, _framed(size) | settings)
        settings |= {"mask_blur": _blur(given), "masked_content": FILLS[given.inpainting_fill]}
        if not given.inpaint_full_res:
            fitted = (fitting.fit(picture, size, mode), fitting.fit(mask, size, mode))
            return fitting.sources(*fitted, _framed(size) | settings)
        settings |= {"only_masked": True, "padding": given.inpaint_full_res_padding}
        settings |= {"work_width": size[0], "work_height": size[1]}
        return fitting.sources(picture, mask, _framed(_kept(picture, defaults.size_multiple)) | settings)


def _mask(given: ImageRequest, picture: Image.Image) -> Image.Image | None:
    """The mask at the picture's size, whatever size it was sent in; None where none was."""
    if given.mask is None:
        return None
    mask = fitting.white_mask(
        fitting.decoded(given.mask, "mask"),
        is_hard=given.mask_round,
        is_inverted=given.inpainting_mask_invert,
    )
    return mask if mask.size == picture.size else mask.resize(picture.size, Image.Resampling.NEAREST)


def _kept(picture: Image.Image, multiple: int) -> tuple[int, int]:
    """The picture's own size, down to a multiple of what the checkpoint makes."""
    width, height = (max(MIN_SIDE, side // multiple * multiple) for side in picture.size)
    return width, height


def _blur(given: ImageRequest) -> int:
    both = max(given.mask_blur_x, given.mask_blur_y)
    return round(both if given.mask_blur is None else given.mask_blur)


def _framed(size: tuple[int, int]) -> dict[str, Any]:
    return {"frame": {"x": 0, "y": 0, "width": size[0], "height": size[1]}}
