"""`POST /v1/images/edits` and `/v1/images/variations`: files in a form, or data URIs in JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from PIL import Image
from starlette.datastructures import UploadFile
from starlette.responses import Response

from app.metadata.read import read_recipe
from app.services import fitting, pictures
from app.services.batch import Batch
from app.services.catalogue import Catalogue
from app.services.edit import Sources, whole
from app.services.errors import InvalidInput, ServiceError
from app.services.fitting import ResizeMode
from app.web.api.requests import MULTIPART, media_type_of
from app.web.caller import Caller
from app.web.dependencies import CatalogueDep
from app.web.openai import translate
from app.web.openai.generations import IdempotencyKey, answered
from app.web.openai.shapes import ImageRequest, JsonEdit, PromptRequest, VariationRequest, read, read_json, size_of

router = APIRouter(prefix="/v1/images", include_in_schema=False)

EVENT = "image_edit"
MAX_FILES = 17  # 16 pictures and a mask, of which one picture is taken
MAX_FIELDS = 64
OPAQUE = 255
WHOLE_STRENGTH = 0.75  # without a mask
MASKED_STRENGTH = 1.0
VARIATION_STRENGTH = 0.6
VARIATION_PROMPT = "a picture"  # where the picture does not say what it was made of


@dataclass
class Body:
    """The fields and files of a request, whichever way they came."""

    fields: dict[str, Any]
    images: list[bytes] = field(default_factory=list)
    mask: bytes | None = None


@router.post("/edits")
async def edits(
    request: Request, catalogue: CatalogueDep, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Change a picture where its mask, or without one the picture itself, is transparent; without either, all of it."""
    body = await _body(request)
    given = read(PromptRequest, body.fields)

    def prepared() -> Batch:
        picture, mask = _picture(body), _mask(body)
        return _batch(catalogue, given, given.prompt, *_masked(picture, mask))

    return await answered(request, caller, given, await to_thread.run_sync(prepared), idempotency_key, EVENT)


@router.post("/variations")
async def variations(
    request: Request, catalogue: CatalogueDep, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make pictures like a picture; it is drawn anew with what it says it was made of."""
    body = await _body(request)
    given = read(VariationRequest, body.fields)

    def prepared() -> Batch:
        picture = _picture(body)
        recipe = read_recipe(body.images[0])
        given.strength = VARIATION_STRENGTH if given.strength is None else given.strength
        prompt = given.prompt or (recipe.prompt if recipe else "") or VARIATION_PROMPT
        return _batch(catalogue, given, prompt, fitting.flattened(picture), None)

    return await answered(request, caller, given, await to_thread.run_sync(prepared), idempotency_key)


def _batch(
    catalogue: Catalogue, given: ImageRequest, prompt: str, picture: Image.Image, mask: Image.Image | None
) -> Batch:
    facts = translate.checkpoint_of(catalogue, given.model)
    size = size_of(given)
    with translate.their_names():
        sources = _sources(given, picture, mask, size)
    return translate.batch_of(given, prompt, facts.name, [sources])


def _sources(
    given: ImageRequest, picture: Image.Image, mask: Image.Image | None, size: tuple[int, int] | None
) -> Sources:
    """At the size that is asked for, else at the picture's own, down to a multiple of 8."""
    if size is not None:
        picture = fitting.fit(picture, size, ResizeMode.CROP)
        mask = fitting.fit(mask, size, ResizeMode.CROP) if mask else None
    frame = whole(*picture.size) if size is None else {"x": 0, "y": 0, "width": size[0], "height": size[1]}
    chosen = MASKED_STRENGTH if mask else WHOLE_STRENGTH
    settings = {"frame": frame, "strength": chosen if given.strength is None else given.strength}
    return fitting.sources(picture, mask, settings)


def _masked(picture: Image.Image, mask: Image.Image | None) -> tuple[Image.Image, Image.Image | None]:
    """The picture without transparency, and what is to be changed in it in white."""
    if mask is not None:
        if mask.size != picture.size:
            raise _wrong("mask", f"The mask is {_size(mask)}, the image {_size(picture)}; they must be the same.")
        return fitting.flattened(picture), fitting.clear_mask(mask)
    is_own = picture.mode == "RGBA" and picture.getchannel("A").getextrema() != (OPAQUE, OPAQUE)
    return fitting.flattened(picture), fitting.clear_mask(picture) if is_own else None


def _picture(body: Body) -> Image.Image:
    if not body.images:
        raise _wrong("image", "Send the picture as a file in the field `image`.")
    if len(body.images) > 1:
        raise _wrong("image", f"{len(body.images)} pictures; the models here take one.")
    return fitting.decoded_file(body.images[0], "image")


def _mask(body: Body) -> Image.Image | None:
    if body.mask is None:
        return None
    mask = fitting.decoded_file(body.mask, "mask")
    if mask.mode != "RGBA":
        raise _wrong("mask", "The mask has no transparent pixels; make transparent what is to be changed.")
    return mask


async def _body(request: Request) -> Body:
    media_type = media_type_of(request)
    if media_type == MULTIPART:
        return await _form(request)
    if media_type == "application/json":
        return _json(await request.body())
    message = f"Send {MULTIPART} or application/json; this one is {media_type or 'of no type'}."
    raise ServiceError(415, "unsupported_media_type", message, field="Content-Type")


async def _form(request: Request) -> Body:
    async with request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS) as form:
        items = form.multi_items()
        body = Body({name: value for name, value in items if isinstance(value, str)})
        for name, value in items:
            if isinstance(value, UploadFile) and name in ("image", "image[]"):
                body.images.append(await value.read())
            elif isinstance(value, UploadFile) and name == "mask":
                body.mask = await value.read()
    return body


def _json(content: bytes) -> Body:
    given = read_json(JsonEdit, content)
    files = [_data(source.image_url, f"images.{number}.image_url") for number, source in enumerate(given.images)]
    mask = _data(given.mask.image_url, "mask.image_url") if given.mask else None
    return Body(given.model_dump(exclude={"images", "mask"}), files, mask)


def _data(text: str | None, name: str) -> bytes:
    if text is None or text[:5].lower() != "data:":
        message = "This server keeps no files and fetches none; send a data URI."
        raise ServiceError(422, "remote_urls_disabled", message, field=name)
    return pictures.from_base64(text, name)


def _size(picture: Image.Image) -> str:
    return f"{picture.width} x {picture.height}"


def _wrong(name: str, message: str) -> InvalidInput:
    return InvalidInput([{"field": name, "message": message}])
