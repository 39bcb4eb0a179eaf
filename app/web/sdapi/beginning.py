"""What `img2img` begins from: the pictures and the mask of a request, at the size that A1111 would work at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from app.services import fitting
from app.services.client_options import Options
from app.services.edit import Sources, whole
from app.services.errors import InvalidInput, ServiceError
from app.services.fitting import ResizeMode
from app.services.views import Defaults
from app.web.sdapi import translate
from app.web.sdapi.shapes import DENOISING, ImageRequest
from models.edit import MaskedContent

MAX_BLUR = 64
FILLS = (MaskedContent.FILL, MaskedContent.ORIGINAL, MaskedContent.LATENT_NOISE, MaskedContent.LATENT_NOTHING)


def sources(given: ImageRequest, options: Options, defaults: Defaults) -> list[Sources]:
    """Decode and fit each picture, all with the one mask. Raises `InvalidInput` with A1111's names.

    A1111 blurs the mask, so that at its edge the picture is half new; here the mask grows by as much as its rim fades.
    With a mask and `inpaint_full_res` a picture keeps its own size, and width and height are worked at.
    """
    if not given.init_images:
        raise ServiceError(404, "not_found", "Init image not found; send one in base64.", field="init_images")
    size = translate.sides(given, defaults, [])  # before anything is stretched to it
    mask = _mask(given)
    settings: dict[str, Any] = {
        "strength": DENOISING if given.denoising_strength is None else given.denoising_strength,
        "color_match": options.img2img_color_correction,
        "grow": 0,
    }
    if mask is not None:
        blur = _blur(given)
        settings |= {"mask_blur": blur, "grow": blur, "masked_content": FILLS[given.inpainting_fill]}
    with translate.their_names():
        if mask is None or not given.inpaint_full_res:
            return [_stretched(given, picture, mask, size, settings) for picture in _pictures(given)]
        settings |= {"only_masked": True, "padding": given.inpaint_full_res_padding}
        settings |= {"work_width": size[0], "work_height": size[1]}
        return [_kept(picture, mask, settings) for picture in _pictures(given)]


def _pictures(given: ImageRequest) -> list[Image.Image]:
    """The pictures of a request, on white. Raises `InvalidInput`."""
    names = [f"init_images.{number}" for number in range(len(given.init_images))]
    if len(names) == 1:
        names = ["init_images"]
    return [fitting.flattened(fitting.decoded(*item)) for item in zip(given.init_images, names, strict=True)]


def _mask(given: ImageRequest) -> Image.Image | None:
    """The mask at its own size, white to repaint; None where none was sent."""
    if given.mask is None:
        return None
    sent = fitting.decoded(given.mask, "mask")
    return fitting.white_mask(sent, is_hard=given.mask_round, is_inverted=given.inpainting_mask_invert)


def _stretched(
    given: ImageRequest,
    picture: Image.Image,
    mask: Image.Image | None,
    size: tuple[int, int],
    settings: Mapping[str, Any],
) -> Sources:
    """All of the picture, at the size that is asked for."""
    mode = ResizeMode(given.resize_mode)
    fitted = fitting.fit(_like(mask, picture), size, mode) if mask else None
    return fitting.sources(fitting.fit(picture, size, mode), fitted, {**_framed(size), **settings})


def _kept(picture: Image.Image, mask: Image.Image, settings: Mapping[str, Any]) -> Sources:
    """The picture at its own size, down to a multiple of 8; the answer brings back what is beyond that."""
    return fitting.sources(picture, _like(mask, picture), {"frame": whole(*picture.size), **settings})


def _like(mask: Image.Image, picture: Image.Image) -> Image.Image:
    """The mask at the picture's size, whatever size it was sent in."""
    return mask if mask.size == picture.size else mask.resize(picture.size, Image.Resampling.NEAREST)


def _blur(given: ImageRequest) -> int:
    """One blur both ways, the larger. Raises `InvalidInput`."""
    name = "mask_blur_x" if given.mask_blur_x >= given.mask_blur_y else "mask_blur_y"
    name = name if given.mask_blur is None else "mask_blur"
    blur: float = getattr(given, name)
    if not 0 <= blur <= MAX_BLUR:
        raise InvalidInput([{"field": name, "message": f"{blur:g} is not from 0 to {MAX_BLUR} pixels."}])
    return round(blur)


def _framed(size: tuple[int, int]) -> dict[str, object]:
    return {"frame": {"x": 0, "y": 0, "width": size[0], "height": size[1]}}
