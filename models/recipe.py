"""What determines an image, as one validated value.

Both sides of the engine's socket use it, so it imports neither torch nor Pillow. It does not know how a
recipe is carried out (`jobs.py`) nor which checkpoints exist.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

MAX_PIXELS = 4_200_000
MAX_PROMPT = 8_000
MAX_SEED = 2**53 - 1  # the largest integer that JSON carries safely into a browser
MAX_SIDE = 2048
MAX_STEPS = 150
MIN_SIDE = 64


class Sampler(StrEnum):
    """How the noise is taken away; the names are those that k-diffusion and diffusers users know."""

    DDIM = "ddim"
    DDPM = "ddpm"
    EULER = "euler"
    EULER_ANCESTRAL = "euler_a"
    HEUN = "heun"
    DPMPP_2M = "dpmpp_2m"
    DPMPP_2M_SDE = "dpmpp_2m_sde"


Prompt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT)]
NegativePrompt = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_PROMPT)]
Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE, multiple_of=8)]


class Recipe(BaseModel):
    """Everything that determines one image: the same recipe on the same machine gives the same pixels.

    `width` and `height` are pixels, multiples of 8. `guidance_scale` 1 means no guidance
    (arXiv:2207.12598); `guidance_rescale` 0..1 is arXiv:2305.08891 section 3.4. `eta` 0..1 is the share
    of fresh noise that DDIM adds (arXiv:2010.02502 eq. 16) and is ignored by samplers that have none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: Prompt
    negative_prompt: NegativePrompt = ""
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 20
    guidance_scale: Annotated[float, Field(ge=1, le=30)] = 7.5
    guidance_rescale: Annotated[float, Field(ge=0, le=1)] = 0.0
    sampler: Sampler = Sampler.DDIM
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]
    width: Side
    height: Side
    checkpoint: Annotated[str, StringConstraints(min_length=1, max_length=200)] = "embedded"

    @model_validator(mode="after")
    def _limit_pixels(self) -> Recipe:
        if self.width * self.height > MAX_PIXELS:
            raise ValueError(f"width times height may be at most {MAX_PIXELS:,} pixels")
        return self

    def to_json(self) -> str:
        """Return the recipe as compact JSON; `from_json` gives back an equal recipe."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> Recipe:
        """Read what `to_json` wrote. Raises `pydantic.ValidationError`, which names each wrong field."""
        return cls.model_validate_json(text)


def explain(error: ValidationError) -> list[dict[str, Any]]:
    """Turn pydantic's errors into `[{field, message}]`, the shape of every 422 that this program answers."""
    return [
        {"field": ".".join(str(part) for part in item["loc"]) or "size", "message": item["msg"]}
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
