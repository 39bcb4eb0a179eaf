"""Whether a picture fits into the memory that there is for pictures. Knows shapes only, no tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from models.cost import Costs
from models.recipe import Recipe

GIB = 2**30
GRAIN = 64  # pixels, of the sizes that are named as a remedy


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A picture that needs more memory than there is. `fields` are what would have to be lowered."""

    fields: tuple[str, ...]
    message: str


def too_large(recipe: Recipe, costs: Costs, memory: int, native: tuple[int, int]) -> TooLarge | None:
    """Say why a picture cannot be made in so many bytes and which could, None if it fits.

    `native` is the checkpoint's own width and height. The pictures of one request are made as there is room for them,
    so that only the size of one counts.
    """
    rows = 1 + (recipe.guidance_scale > 1)
    needed, width, height, fields = max(
        (_needed(costs, width, height, rows, whole=recipe.tiling), width, height, fields)
        for width, height, fields in _sizes(recipe, native)
    )
    if needed <= memory:
        return None
    # not by halving: what is needed falls where a picture is large enough to be decoded in tiles
    sides = range(math.isqrt(width * height) // GRAIN * GRAIN, 0, -GRAIN)
    side = next((side for side in sides if _needed(costs, side, side, rows, whole=recipe.tiling) <= memory), 0)
    remedy = f"at most about {side} x {side} fits" if side else "none fits; a smaller checkpoint may"
    message = (
        f"A picture of {width} x {height} needs about {needed / GIB:.1f} GiB of memory while it is made, and there are "
        f"{memory / GIB:.1f} GiB for pictures: {remedy}. Lower {', '.join(fields[:-1])} or {fields[-1]}."
    )
    return TooLarge(fields, message)


def _sizes(recipe: Recipe, native: tuple[int, int]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Each width and height at which the networks work, and what would have to be lowered.

    With `only_masked` the whole is worked on where nothing is masked, which may be so without a mask.
    """
    edit, hires = recipe.edit, recipe.hires
    if edit is not None and edit.only_masked:
        yield edit.work_width or native[0], edit.work_height or native[1], ("work_width", "work_height")
        if edit.mask is not None:
            return
    yield recipe.width, recipe.height, ("width", "height")
    if hires is not None:
        yield *hires.size(recipe.width, recipe.height), ("hires_scale", "width", "height")


def _needed(costs: Costs, width: int, height: int, rows: int, *, whole: bool) -> int:
    factor = costs.vae.factor
    return costs.picture_bytes(-(-height // factor), -(-width // factor), rows, whole=whole)
