"""What OpenAI's clients send, and what more they may: seed, steps, guidance_scale, negative_prompt, strength, sampler.

Unknown fields are ignored. `quality`, `style`, `moderation`, `input_fidelity` and `user` mean nothing here.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from app.services.errors import InvalidInput
from models.recipe import explain

MAX_COUNT = 10
MAX_PARTIALS = 3
SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
AUTO = "auto"
T = TypeVar("T", bound=BaseModel)


def _absent(value: Any) -> Any:
    return None if value == "" else value


Number = Annotated[float | None, BeforeValidator(_absent)]
Whole = Annotated[int | None, BeforeValidator(_absent)]
Text = Annotated[str | None, BeforeValidator(_absent)]


class ImageRequest(BaseModel):
    """The fields that generations, edits and variations share."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    model: Text = None
    n: Annotated[Annotated[int, Field(ge=1, le=MAX_COUNT)] | None, BeforeValidator(_absent)] = 1
    size: Text = None
    response_format: Annotated[Literal["url", "b64_json"] | None, BeforeValidator(_absent)] = None
    output_format: Annotated[Literal["png", "jpeg", "webp"] | None, BeforeValidator(_absent)] = None
    output_compression: Annotated[Annotated[int, Field(ge=0, le=100)] | None, BeforeValidator(_absent)] = None
    background: Annotated[Literal["transparent", "opaque", "auto"] | None, BeforeValidator(_absent)] = None
    stream: bool | None = False
    partial_images: Annotated[Annotated[int, Field(ge=0, le=MAX_PARTIALS)] | None, BeforeValidator(_absent)] = 0
    negative_prompt: Text = None
    seed: Whole = None
    steps: Whole = None
    guidance_scale: Number = None
    sampler: Text = None
    strength: Number = None
    cancel_on_disconnect: bool = False


class PromptRequest(ImageRequest):
    """generations and edits."""

    prompt: str


class VariationRequest(ImageRequest):
    """variations; a prompt may be given, since our models need one."""

    prompt: Text = None


class UrlSource(BaseModel):
    """A picture in the JSON form of edits: a data URI; nothing is fetched from elsewhere."""

    model_config = ConfigDict(extra="ignore")

    image_url: Text = None
    file_id: Text = None


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
    return int(sides[1]), int(sides[2])


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
