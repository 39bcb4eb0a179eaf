"""Whether a picture fits into the memory that there is for pictures. Knows shapes only, no tensor."""

from __future__ import annotations

from dataclasses import dataclass

from models.cost import Costs
from models.recipe import MAX_PIXELS, Recipe

GIB = 2**30
GRAIN = 64  # pixels, of the sizes that are named as a remedy


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A picture that needs more memory than there is. `fields` are what would have to be lowered."""

    fields: tuple[str, ...]
    message: str


def too_large(recipe: Recipe, costs: Costs, memory: int) -> TooLarge | None:
    """Say why a picture cannot be made in so many bytes and which could, None if it fits.

    The pictures of one request are made as there is room for them, so that only the size of one counts.
    """
    hires, rows = recipe.hires, 1 + (recipe.guidance_scale > 1)
    width, height = hires.size(recipe.width, recipe.height) if hires else (recipe.width, recipe.height)
    needed = _needed(costs, width, height, rows)
    if needed <= memory:
        return None
    fields = ("hires_scale", "width", "height") if hires else ("width", "height")
    side = _largest_side(costs, rows, memory)
    remedy = f"at most about {side} x {side} fits" if side else "none fits; a smaller checkpoint may"
    message = (
        f"A picture of {width} x {height} needs about {needed / GIB:.1f} GiB of memory while it is made, and there are "
        f"{memory / GIB:.1f} GiB for pictures: {remedy}. Lower {', '.join(fields[:-1])} or {fields[-1]}."
    )
    return TooLarge(fields, message)


def _needed(costs: Costs, width: int, height: int, rows: int) -> int:
    factor = costs.vae.factor
    return costs.picture_bytes(-(-height // factor), -(-width // factor), rows)


def _largest_side(costs: Costs, rows: int, memory: int) -> int:
    """The largest square that fits, 0 if none does; by halving, since what is needed grows with the size."""
    low, high = 0, int(MAX_PIXELS**0.5) // GRAIN
    while low < high:
        middle = (low + high + 1) // 2
        fits = _needed(costs, middle * GRAIN, middle * GRAIN, rows) <= memory
        low, high = (middle, high) if fits else (low, middle - 1)
    return low * GRAIN
