"""`png-info`, the two ways of upscaling, and `interrogate`, which this server cannot do and says so."""

from __future__ import annotations

import base64
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request
from PIL import Image

from app.metadata import a1111
from app.metadata.read import read, read_recipe
from app.metadata.write import PARAMETERS
from app.services import batch, client_options, download, fitting, pictures, upscale
from app.services.batch import Batch
from app.services.client_options import Options
from app.services.errors import InvalidInput, ServiceError
from app.services.store import Store
from app.services.upscale import Enlargement
from app.web import waiting
from app.web.api.requests import require_json
from app.web.caller import Caller, current_caller
from app.web.dependencies import StoreDep
from app.web.sdapi.shapes import ExtrasRequest, ManyExtras, OneExtra, OneImage
from app.web.sdapi.translate import AnyRequest

router = APIRouter(prefix="/sdapi/v1", include_in_schema=False, dependencies=[Depends(require_json)])

REDRAWN_PROMPT = "a sharp, detailed picture"  # where the picture does not say what it was made of
MAX_REDRAWN_SIDE = 2048
MAX_PIXELS = 4 * upscale.MAX_PIXELS  # of one answer, which is held in memory as a whole
RESIZING = CapacityLimiter(2)  # pictures at a time, of all requests


@router.post("/png-info", dependencies=[Depends(current_caller)])
def png_info(given: OneImage) -> dict[str, Any]:
    """What a picture says about itself: the text, all its chunks, and the text taken apart."""
    reading = read(pictures.from_base64(_required(given.image), "image"))
    if reading is None:
        raise _wrong("image", "This is no PNG, JPEG or WebP file.")
    items = {name: text for name, text in reading.texts.items() if name != PARAMETERS}
    return {"info": reading.text, "items": items, "parameters": a1111.parsed(reading.text)}


@router.post("/interrogate", dependencies=[Depends(current_caller)])
def interrogate(given: OneImage) -> None:
    """Refuse: a caption without a model that looks at pictures would be made up."""
    _required(given.image)
    raise ServiceError(404, "not_found", "Model not found: none here describes pictures.", field="model")


@router.post("/extra-single-image")
async def extra_single_image(request: Request, store: StoreDep, caller: Caller, given: OneExtra) -> dict[str, Any]:
    """Enlarge a picture."""
    (image,) = await _upscaled(request, store, caller, given, [("image", _required(given.image))])
    return {"html_info": "", "image": image}


@router.post("/extra-batch-images")
async def extra_batch_images(request: Request, store: StoreDep, caller: Caller, given: ManyExtras) -> dict[str, Any]:
    """Enlarge several pictures, in order."""
    named = [(f"imageList.{number}.data", item.data) for number, item in enumerate(given.image_list)]
    return {"html_info": "", "images": await _upscaled(request, store, caller, given, named)}


async def _upscaled(
    request: Request, store: Store, owner: str, given: ExtrasRequest, files: list[tuple[str, str]]
) -> list[str]:
    wanted = _enlargement(given)
    options = await to_thread.run_sync(client_options.get, store, request.app.state.catalogue, owner)
    answers: list[str] = []
    room = MAX_PIXELS
    for field, text in files:
        if wanted.upscaler == upscale.REDRAWN:
            content = await _redrawn(request, owner, options, text, field, wanted)
        else:
            picture, content = await to_thread.run_sync(_resized, text, field, given, wanted, limiter=RESIZING)
            room -= picture.width * picture.height
        if room < 0:
            message = f"All together come to more than {MAX_PIXELS / 1e6:.0f} million pixels; send fewer at once."
            raise _wrong(field, message)
        answers.append(base64.b64encode(content).decode())
    return answers


def _enlargement(given: ExtrasRequest) -> Enlargement:
    for name in ("gfpgan_visibility", "codeformer_visibility"):
        if getattr(given, name):
            raise _wrong(name, "There is no face restoration here; send 0.")
    chosen = upscale.upscaler_of(given.upscaler_1, "upscaler_1")
    upscale.upscaler_of(given.upscaler_2, "upscaler_2")
    if given.resize_mode == 0:
        return Enlargement(chosen, factor=given.upscaling_resize)
    size = (given.upscaling_resize_w, given.upscaling_resize_h)
    return Enlargement(chosen, size=size, crop=given.upscaling_crop)


def _resized(text: str, field: str, given: ExtrasRequest, wanted: Enlargement) -> tuple[Image.Image, bytes]:
    """Enlarge by arithmetic; a second upscaler is mixed in as its visibility says. Returns its file as well."""
    picture = fitting.decoded(text, field)
    first = upscale.enlarged(picture, wanted)
    share = given.extras_upscaler_2_visibility
    if not share or (given.upscaler_2 or upscale.NONE).lower() == upscale.NONE.lower():
        return first, fitting.to_png(first)
    other = upscale.upscaler_of(given.upscaler_2, "upscaler_2")
    second = upscale.enlarged(picture, Enlargement(other, wanted.factor, wanted.size, wanted.crop))
    return first, fitting.to_png(Image.blend(first, second, share))


async def _redrawn(request: Request, owner: str, options: Options, text: str, field: str, wanted: Enlargement) -> bytes:
    """Enlarge, then draw anew at low strength with what the picture says it was made of; a job like any other."""
    state = request.app.state

    def prepared() -> Batch:
        picture = upscale.enlarged(fitting.flattened(fitting.decoded(text, field)), wanted)
        multiple = state.catalogue.default_request(options.sd_model_checkpoint).size_multiple
        size = tuple(side // multiple * multiple for side in picture.size)
        if not 64 <= min(size) <= max(size) <= MAX_REDRAWN_SIDE:
            raise _wrong(field, f"{size[0]}x{size[1]} cannot be drawn anew; sides from 64 to {MAX_REDRAWN_SIDE} can.")
        recipe = read_recipe(pictures.from_base64(text, field))
        frame = {"x": 0, "y": 0, "width": size[0], "height": size[1]}
        sources = fitting.sources(picture, None, {"frame": frame, "strength": upscale.REDRAW_STRENGTH})
        prompt = recipe.prompt if recipe else REDRAWN_PROMPT
        return Batch(AnyRequest(prompt=prompt, checkpoint=options.sd_model_checkpoint), 1, [sources])

    order = await to_thread.run_sync(prepared)
    group = await to_thread.run_sync(batch.submit, state.store, state.catalogue, owner, order, None)
    done = waiting.require_some(await waiting.result(request, owner, group.id))
    if not done or done[0].image is None:
        raise ServiceError(409, "cancelled", "The picture was interrupted before it was done.")
    return await to_thread.run_sync(download.picture, state.store, owner, done[0].image.id)


def _required(text: str | None) -> str:
    if text is None:
        raise ServiceError(404, "not_found", "Image not found; send one in base64.", field="image")
    return text


def _wrong(field: str, message: str) -> InvalidInput:
    return InvalidInput([{"field": field, "message": message}])
