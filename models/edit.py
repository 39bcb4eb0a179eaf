"""How an image begins from another one, as values: part of a recipe. Imports neither torch nor Pillow.

Pictures and masks are named by the SHA-256 of their PNG files; whoever carries the recipe out is given their pixels.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_OFFSET = 16_384
MAX_SIDE = 2048
MIN_SIDE = 64

Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE, multiple_of=8)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Infill(StrEnum):
    """What stands where there are no pixels yet, before the image is encoded."""

    BLUR = "blur"
    EDGE = "edge"
    MIRROR = "mirror"
    NOISE = "noise"
    COLOUR = "colour"


class MaskedContent(StrEnum):
    """What stands under the mask before the image is encoded; the last two concern the latents."""

    ORIGINAL = "original"
    FILL = "fill"
    LATENT_NOISE = "latent_noise"
    LATENT_NOTHING = "latent_nothing"


class Frame(BaseModel):
    """The rectangle that the new image shows, in pixels of the old one; what lies beyond the old one is outpainted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: Annotated[int, Field(ge=-MAX_OFFSET, le=MAX_OFFSET)]
    y: Annotated[int, Field(ge=-MAX_OFFSET, le=MAX_OFFSET)]
    width: Side
    height: Side


class Edit(BaseModel):
    """Begin from `image`: image to image without a mask, inpainting with one, outpainting where `frame` goes beyond it.

    `mask` is as large as the image; white is repainted, grey in part (arXiv:2306.00950). What lies beyond the image,
    or is transparent in it, is always repainted; without a mask and within the image, all is. `strength` is the share
    of the steps that are taken (arXiv:2108.01073); `grow`, `overlap` and `mask_blur` are in pixels. Outside the mask,
    grown by `grow`, the new image has the old one's pixels; next to what lies beyond the image `overlap` pixels of it
    are repainted, at most a quarter of what the frame shows of its shorter side; beyond a side and above or below at
    once, the sides are painted first and then the rest, each with all the steps.
    `only_masked` works on the mask's surroundings alone, `padding` pixels more on each side, at `work_width` x
    `work_height` (the checkpoint's native size where they are absent).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    image: Sha256
    mask: Sha256 | None = None
    frame: Frame | None = None
    strength: Share = 0.75
    mask_blur: Annotated[int, Field(ge=0, le=64)] = 6
    grow: Annotated[int, Field(ge=0, le=256)] = 12
    overlap: Annotated[int, Field(ge=0, le=256)] = 32
    only_masked: bool = False
    padding: Annotated[int, Field(ge=0, le=512)] = 32
    work_width: Side | None = None
    work_height: Side | None = None
    infill: Infill = Infill.EDGE
    masked_content: MaskedContent = MaskedContent.ORIGINAL
    color_match: bool = True


class Hires(BaseModel):
    """A second pass: enlarge the first picture by `scale`, then denoise it anew at `strength` in `steps` steps.

    `upscaler` works on the latents or, with Lanczos, on the pixels. `steps` None takes the recipe's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    scale: Annotated[float, Field(gt=1, le=4)] = 2.0
    upscaler: Literal["latent", "lanczos"] = "latent"
    strength: Share = 0.7
    steps: Annotated[int, Field(ge=1, le=150)] | None = None

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of the enlarged picture, multiples of 8."""
        return round(width * self.scale / 8) * 8, round(height * self.scale / 8) * 8
