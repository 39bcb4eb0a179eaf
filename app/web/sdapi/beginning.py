"""What `img2img` begins from: the picture and mask of a request, at the size that A1111 would work at."""

from __future__ import annotations

from typing import Any

from PIL import Image

from app.services import fitting
from app.services.client_options import Options
from app.services.edit import Sources
from app.services.errors import InvalidInput
from app.services.fitting import ResizeMode
from app.services.views import Defaults
from app.web.sdapi import translate
from app.web.sdapi.shapes import DENOISING, ImageRequest
from models.edit import MaskedContent

FILLS = (MaskedContent.FILL, MaskedContent.ORIGINAL, MaskedContent.LATENT_NOISE, MaskedContent.LATENT_NOTHING)
MIN_SIDE = 64


def sources(given: ImageRequest, options: Options, defaults: Defaults) -> Sources:
    """Decode and fit. Raises `InvalidInput` with A1111's names.

    With a mask and `inpaint_full_res` the picture keeps its own size, and width and height are worked at.
    """
    picture = _picture(given)
    mask = _mask(given, picture)
    size = translate.sides(given, defaults, [])
    settings: dict[str, Any] = {
        "strength": DENOISING if given.denoising_strength is None else given.denoising_strength,
        "color_match": options.img2img_color_correction,
        "grow": 0,
    }
    mode = ResizeMode(given.resize_mode or 0)
    with translate.their_names():
        if mask is None:
            return fitting.sources(fitting.fit(picture, size, mode), None, _framed(size) | settings)
        settings |= {"mask_blur": _blur(given), "masked_content": FILLS[given.inpainting_fill or 0]}
        if not given.inpaint_full_res:
            fitted = (fitting.fit(picture, size, mode), fitting.fit(mask, size, mode))
            return fitting.sources(*fitted, _framed(size) | settings)
        settings |= {"only_masked": True, "padding": given.inpaint_full_res_padding or 0}
        settings |= {"work_width": size[0], "work_height": size[1]}
        return fitting.sources(picture, mask, _framed(_kept(picture, defaults.size_multiple)) | settings)


def _picture(given: ImageRequest) -> Image.Image:
    if not given.init_images:
        raise InvalidInput([{"field": "init_images", "message": "Init image not found; send one in base64."}])
    if len(given.init_images) > 1:
        raise InvalidInput([{"field": "init_images", "message": "One picture a request; use batch_size for variants."}])
    return fitting.flattened(fitting.decoded(given.init_images[0], "init_images"))


def _mask(given: ImageRequest, picture: Image.Image) -> Image.Image | None:
    """The mask at the picture's size, whatever size it was sent in; None where none was."""
    if given.mask is None:
        return None
    mask = fitting.white_mask(
        fitting.decoded(given.mask, "mask"),
        is_hard=given.mask_round is not False,
        is_inverted=bool(given.inpainting_mask_invert),
    )
    return mask if mask.size == picture.size else mask.resize(picture.size, Image.Resampling.NEAREST)


def _kept(picture: Image.Image, multiple: int) -> tuple[int, int]:
    """The picture's own size, down to a multiple of what the checkpoint makes."""
    width, height = (max(MIN_SIDE, side // multiple * multiple) for side in picture.size)
    return width, height


def _blur(given: ImageRequest) -> int:
    both = max(given.mask_blur_x or 0, given.mask_blur_y or 0)
    return round(both if given.mask_blur is None else given.mask_blur)


def _framed(size: tuple[int, int]) -> dict[str, Any]:
    return {"frame": {"x": 0, "y": 0, "width": size[0], "height": size[1]}}
