"""From OpenAI's fields to our request, and our refusals back to OpenAI's names. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from app.services.batch import Batch
from app.services.catalogue import Catalogue
from app.services.edit import Sources
from app.services.errors import InvalidInput, ServiceError
from app.services.request import JobRequest
from app.web.openai.shapes import ImageRequest, size_of
from models.checkpoint.facts import CheckpointFacts
from models.recipe import explain
from models.sampler_names import SAMPLERS, split

THEIR_MODELS = ("dall-e", "gpt-image", "chatgpt-image")
THEIR_NAMES = {
    "count": "n",
    "width": "size",
    "height": "size",
    "frame": "size",
    "frame.width": "size",
    "frame.height": "size",
    "checkpoint": "model",
    "edit.strength": "strength",
}


@contextmanager
def their_names() -> Iterator[None]:
    """Let refusals within the block name fields as OpenAI does."""
    try:
        yield
    except InvalidInput as error:
        renamed = [{**item, "field": THEIR_NAMES.get(item["field"], item["field"])} for item in error.errors]
        raise InvalidInput([item for number, item in enumerate(renamed) if item not in renamed[:number]]) from error


def checkpoint_of(catalogue: Catalogue, model: str | None) -> CheckpointFacts:
    """Return the checkpoint that is meant. OpenAI's own names, which many clients send unasked, are the default's."""
    if model is None or model.startswith(THEIR_MODELS):
        return catalogue.default
    try:
        return catalogue.get(model)
    except InvalidInput as error:
        raise ServiceError(404, "model_not_found", error.errors[0]["message"], field="model") from error


def batch_of(given: ImageRequest, prompt: str, checkpoint: str, sources: Sequence[Sources] = ()) -> Batch:
    """Return what is asked for. Raises `InvalidInput` with OpenAI's names."""
    if given.background == "transparent":
        raise _wrong("background", "The models here make no transparent pictures; send opaque or auto.")
    size = None if sources else size_of(given)
    sampler = split(given.sampler) if given.sampler else None
    if given.sampler and sampler is None:
        offered = ", ".join(name.label for name in SAMPLERS.values())
        raise _wrong("sampler", f"There is no sampler {given.sampler!r}; there is: {offered}.")
    fields: dict[str, Any] = {
        "prompt": prompt,
        "negative_prompt": given.negative_prompt,
        "steps": given.steps,
        "guidance_scale": given.guidance_scale,
        "seed": given.seed,
        "sampler": sampler[0].value if sampler else None,
        "scheduler": sampler[1] if sampler else None,
        "checkpoint": checkpoint,
        **({"width": size[0], "height": size[1]} if size else {}),
    }
    with their_names():
        try:
            request = JobRequest.model_validate({name: value for name, value in fields.items() if value is not None})
        except ValidationError as error:
            raise InvalidInput(explain(error)) from error
        return Batch(request, given.n, sources)


def _wrong(field: str, message: str) -> InvalidInput:
    return InvalidInput([{"field": field, "message": message}])
