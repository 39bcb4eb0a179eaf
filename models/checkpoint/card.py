"""What only the maker, or the owner, of a checkpoint knows: defaults, examples, words, preview colours.

It is `mezzotint.json` in a folder, and `NAME.mezzotint.json` beside the single file `NAME.safetensors`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.checkpoint.headers import AGAIN, CheckpointError
from models.edit import Side
from models.recipe import MAX_STEPS, Sampler, explain

MAX_JSON = 32 * 2**20  # bytes; CLIP's own tokenizer.json has 2 MiB


class Defaults(BaseModel):
    """What a request to a checkpoint gets where it does not say otherwise."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    width: Side | None = None
    height: Side | None = None
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 20
    guidance_scale: Annotated[float, Field(ge=1, le=30)] = 7.5
    guidance_rescale: Annotated[float, Field(ge=0, le=1)] = 0.0
    sampler: Sampler = Sampler.DDIM


class PreviewFactors(BaseModel):
    """A linear map from latents to colours: a row of `weight` for each latent channel, one `bias` for each colour."""

    weight: list[list[float]]
    bias: list[float]


class Card(BaseModel):
    """The content of the file. `prediction_type` wins over all that the checkpoint itself says."""

    title: str = ""
    prediction_type: Literal["epsilon", "v_prediction"] | None = None
    defaults: Defaults = Defaults()
    preview: PreviewFactors | None = None
    examples: list[str] = []
    words: dict[str, list[str]] = {}
    grammar_words: list[str] = []


def read_card(file: Path) -> Card:
    """Read a card; without a file it is empty. Raises `CheckpointError` naming the key."""
    if not file.is_file():
        return Card()
    try:
        return Card.model_validate(read_json(file))
    except ValidationError as error:
        problem = explain(error)[0]
        raise CheckpointError(f"{file}: {problem['field']}: {problem['message']}") from error


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object. Raises `CheckpointError` if the file is missing or is none."""
    try:
        if file.stat().st_size > MAX_JSON:
            raise CheckpointError(f"{file} has more than {MAX_JSON:,} bytes, so it is none of a checkpoint's; {AGAIN}")
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{file} is missing; copy or download the checkpoint again, whole") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} cannot be read as JSON ({error}); {AGAIN}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file} must hold a JSON object; {AGAIN}")
    return content
