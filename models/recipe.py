"""What determines an image, as one validated value.

Both sides of the engine's socket use it, so it imports neither torch nor Pillow. It does not know how a
recipe is carried out (`jobs.py`) nor which checkpoints exist.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from models.edit import Edit, Hires, Side

MAX_CLIP_SKIP = 12
MAX_PIXELS = 4_200_000
MAX_ENLARGED = 4 * MAX_PIXELS  # pixels after a second pass: a step of more holds up everybody for a minute
MAX_PROMPT = 8_000
MAX_SEED = 2**53 - 1  # the largest integer that JSON carries safely into a browser
MAX_STEPS = 150


class Sampler(StrEnum):
    """How the noise is taken away; the names are those that k-diffusion and diffusers users know."""

    DDIM = "ddim"
    DDPM = "ddpm"
    EULER = "euler"
    EULER_ANCESTRAL = "euler_a"
    HEUN = "heun"
    DPMPP_2M = "dpmpp_2m"
    DPMPP_2M_SDE = "dpmpp_2m_sde"


class Scheduler(StrEnum):
    """How the noise levels are spread over the steps; `normal` is as the checkpoint's own scheduler file says."""

    NORMAL = "normal"
    KARRAS = "karras"
    EXPONENTIAL = "exponential"
    SGM_UNIFORM = "sgm_uniform"
    BETA = "beta"


Prompt = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_PROMPT)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


class Recipe(BaseModel):
    """Everything that determines one image: the same recipe on the same machine gives the same pixels.

    An empty `prompt` asks for anything. `width` and `height` are pixels, multiples of 8. `guidance_scale` 1 means no
    guidance (arXiv:2207.12598); `guidance_rescale` 0..1 is arXiv:2305.08891 section 3.4; steps are guided from the
    share `guidance_start` of a walk until `guidance_end` (arXiv:2404.07724), all of them by default. `eta` 0..1 is the
    share of fresh noise that DDIM adds (arXiv:2010.02502 eq. 16) and is ignored by samplers that have none.
    `clip_skip` 1 takes the text encoder's last layer, 2 the one before. `subseed` is the seed of a second noise that
    the first is turned towards by `subseed_strength` 0..1 (spherical interpolation). `tiling` makes left and right,
    top and bottom fit each other. With `edit` the picture begins from another one and `width` and `height` are those
    of its frame; with `hires` it is enlarged at the end, beyond `width` and `height`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: Prompt
    negative_prompt: Prompt = ""
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 20
    guidance_scale: Annotated[float, Field(ge=1, le=30)] = 7.5
    guidance_rescale: Annotated[float, Field(ge=0, le=1)] = 0.0
    guidance_start: Annotated[float, Field(ge=0, le=1)] = 0.0
    guidance_end: Annotated[float, Field(ge=0, le=1)] = 1.0
    sampler: Sampler = Sampler.DDIM
    scheduler: Scheduler = Scheduler.NORMAL
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: Seed
    subseed: Seed | None = None
    subseed_strength: Annotated[float, Field(ge=0, le=1)] = 0.0
    clip_skip: Annotated[int, Field(ge=1, le=MAX_CLIP_SKIP)] = 1
    tiling: bool = False
    width: Side
    height: Side
    checkpoint: Annotated[str, StringConstraints(min_length=1, max_length=200)] = "embedded"
    edit: Edit | None = None
    hires: Hires | None = None

    @model_validator(mode="after")
    def _limit_pixels(self) -> Recipe:
        if self.width * self.height > MAX_PIXELS:
            raise ValueError(f"width times height may be at most {MAX_PIXELS:,} pixels")
        return self

    @model_validator(mode="after")
    def _limit_enlarged(self) -> Recipe:
        width, height = self.hires.size(self.width, self.height) if self.hires else (0, 0)
        if width * height > MAX_ENLARGED:
            raise ValueError(f"enlarged to {width} x {height}; a picture may come to {MAX_ENLARGED:,} pixels")
        return self

    @model_validator(mode="after")
    def _require_subseed(self) -> Recipe:
        if self.subseed_strength > 0 and self.subseed is None:
            raise ValueError("subseed_strength needs a subseed to turn the noise towards")
        return self

    @model_validator(mode="after")
    def _order_guidance(self) -> Recipe:
        if self.guidance_start >= self.guidance_end:
            raise ValueError("guidance_start must be below guidance_end; without guidance, set guidance_scale to 1")
        return self

    @model_validator(mode="after")
    def _match_frame(self) -> Recipe:
        frame = self.edit.frame if self.edit else None
        if frame is not None and (frame.width, frame.height) != (self.width, self.height):
            raise ValueError(
                f"edit.frame is {frame.width} x {frame.height}, width and height are {self.width} x {self.height}; "
                "they must be the same"
            )
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
