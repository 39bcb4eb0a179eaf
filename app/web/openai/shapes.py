"""What OpenAI's clients send, and what more they may: seed, steps, guidance_scale, negative_prompt, strength, sampler.

Unknown fields are ignored. `quality`, `style`, `moderation`, `input_fidelity` and `user` mean nothing here.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from app.services.errors import InvalidInput
from app.web.absent import without_absent
from models.edit import MAX_SIDE, MIN_SIDE
from models.recipe import explain

MAX_COUNT = 10
MAX_PARTIALS = 3
SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
AUTO = "auto"
T = TypeVar("T", bound=BaseModel)


class ImageRequest(BaseModel):
    """The fields that generations, edits and variations share; `""` and null are absent."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    model: str | None = None
    n: Annotated[int, Field(ge=1, le=MAX_COUNT)] = 1
    size: str | None = None
    response_format: Literal["url", "b64_json"] | None = None
    output_format: Literal["png", "jpeg", "webp"] = "png"
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    background: Literal["transparent", "opaque", "auto"] = "auto"
    stream: bool = False
    partial_images: Annotated[int, Field(ge=0, le=MAX_PARTIALS)] = 0
    negative_prompt: str | None = None
    seed: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    sampler: str | None = None
    strength: float | None = None
    cancel_on_disconnect: bool = False

    @model_validator(mode="before")
    @classmethod
    def _without_absent(cls, given: Any) -> Any:
        return without_absent(given)


class PromptRequest(ImageRequest):
    """generations and edits."""

    prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class VariationRequest(ImageRequest):
    """variations; a prompt may be given, since our models need one."""

    prompt: str | None = None


class UrlSource(BaseModel):
    """A picture in the JSON form of edits: a data URI; nothing is fetched from elsewhere."""

    model_config = ConfigDict(extra="ignore")

    image_url: str | None = None
    file_id: str | None = None


class JsonEdit(PromptRequest):
    """edits as JSON."""

    images: Annotated[list[UrlSource], Field(min_length=1, max_length=16)]
    mask: UrlSource | None = None


def size_of(given: ImageRequest) -> tuple[int, int] | None:
    """Return width and height, None where the server may choose. Raises `InvalidInput`."""
    if given.size is None or given.size == AUTO:
        return None
    sides = SIZE.fullmatch(given.size)
    if sides is None:
        raise InvalidInput([{"field": "size", "message": f"{given.size!r} is no size; send auto, or such as 512x512."}])
    width, height = int(sides[1]), int(sides[2])
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in (width, height)):
        message = f"{given.size}: each side must be from {MIN_SIDE} to {MAX_SIDE} pixels."
        raise InvalidInput([{"field": "size", "message": message}])
    return width, height


def read(shape: type[T], fields: dict[str, Any]) -> T:
    """Return the fields of a form as a request. Raises `InvalidInput`."""
    try:
        return shape.model_validate(fields)
    except ValidationError as error:
        raise InvalidInput(explain(error)) from error


def read_json(shape: type[T], content: bytes) -> T:
    """Return a body of JSON as a request. Raises `InvalidInput`."""
    try:
        return shape.model_validate_json(content)
    except ValidationError as error:
        broken = any(not item["loc"] for item in error.errors())
        found = [{"field": "body", "message": "Send a JSON object; this cannot be read."}] if broken else explain(error)
        raise InvalidInput(found) from error
