"""A sheet of twenty edits by the embedded model, to be looked at: `python -m tests.models.edit_sheet SHEET.png`.

Ten things are painted over, ten pictures carried on beyond their edges. Each picture stands before its edit, with what
was masked outlined. What holds of all of them is checked on the way: outside of what is repainted nothing has changed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

import models
from models.bundle import Bundle
from models.checkpoint.loading import load
from models.edit import Edit
from models.jobs import job_of
from models.masks import distance
from models.pixels import to_rgb_bytes
from models.recipe import Recipe
from models.run import run

IMAGE, MASK = "a" * 64, "b" * 64
SIDE, GAP, COLUMNS = 256, 8, 2
SUNSET = "snowy mountains at sunset"
SEA = "hills by the sea on a clear day"
LAKE = "mountains by a lake on a clear day"
MEADOW = "hills in a green meadow by day"
DESERT = "sand dunes in the desert at sundown"
NIGHT = "islands by the sea at night"
REPLACING = 1.0  # the strength of what is painted over; what is beyond the edge is painted at the default
LEFT, MIDDLE, RIGHT = (0, 112, 124, 244), (76, 112, 188, 244), (132, 112, 256, 244)

Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True)
class Case:
    """A picture of a prompt and seed, and the prompt of its edit: within a box, or in a frame (x, y, width, height)."""

    prompt: str
    wanted: str
    seed: int
    box: Box | None = None
    frame: Box = (0, 0, SIDE, SIDE)


CASES = (
    Case(f"{SUNSET} with a cabin on the left", f"{SUNSET} with a lighthouse on the left", 2, LEFT),
    Case(f"{SUNSET} with a cabin on the right", f"{SUNSET} with a lighthouse on the right", 4, RIGHT),
    Case(f"{SEA} with a cabin on the left", f"{SEA} with a lighthouse on the left", 2, LEFT),
    Case(f"{SUNSET} with a cabin on the left", SUNSET, 3, LEFT),
    Case(f"{LAKE} with a cabin in the middle", f"{LAKE} with a sailboat in the middle", 3, MIDDLE),
    Case(f"{MEADOW} with a cabin on the left", f"{MEADOW} with a windmill on the left", 3, LEFT),
    Case(f"{DESERT} with a cactus on the right", f"{DESERT} with palm trees on the right", 2, RIGHT),
    Case(NIGHT, f"{NIGHT} with a full moon on the right", 5, (150, 10, 230, 90)),
    Case(MEADOW, f"{MEADOW} with the sun on the left", 6, (30, 10, 110, 90)),
    Case(LAKE, "mountains in the snow on a clear day", 7, (0, 128, 256, 256)),
    Case(f"{SUNSET} with a cabin on the left", SUNSET, 2, frame=(-64, 0, 384, 256)),
    Case(f"{LAKE} with a cabin in the middle", LAKE, 2, frame=(-64, 0, 384, 256)),
    Case(NIGHT, NIGHT, 5, frame=(-64, 0, 384, 256)),
    Case(MEADOW, MEADOW, 6, frame=(-96, 0, 352, 256)),
    Case(DESERT, DESERT, 4, frame=(0, 0, 352, 256)),
    Case(f"{SUNSET} with a cabin on the right", SUNSET, 4, frame=(0, -64, 256, 320)),
    Case(LAKE, LAKE, 7, frame=(0, 0, 256, 320)),
    Case(SEA, SEA, 8, frame=(-64, -64, 320, 320)),
    Case(f"{MEADOW} with a cabin on the left", MEADOW, 3, frame=(0, 0, 320, 320)),
    Case(SUNSET, SUNSET, 9, frame=(-32, -32, 320, 320)),
)


def main(target: Path) -> None:
    """Draw, edit, check and write the sheet."""
    bundle = load(Path(models.__file__).parent / "embedded")
    sheet = Image.new("RGB", (COLUMNS * (SIDE + 384 + 4 * GAP), -(-len(CASES) // COLUMNS) * (320 + GAP)), "white")
    for number, case in enumerate(CASES):
        before, after = _both(bundle, case)
        x = number % COLUMNS * (SIDE + 384 + 4 * GAP)
        y = number // COLUMNS * (320 + GAP)
        sheet.paste(_outlined(before, case.box), (x, y))
        sheet.paste(_picture(after), (x + SIDE + GAP, y))
        print(f"{number + 1:2}  {case.wanted}  {case.box or case.frame}", flush=True)
    sheet.save(target)


def _both(bundle: Bundle, case: Case) -> tuple[Tensor, Tensor]:
    """The levels (H, W, 3) of a picture and of its edit."""
    given = {**bundle.defaults, "seed": case.seed}
    before = _levels(bundle, Recipe.model_validate({**given, "prompt": case.prompt}), {})
    x, y, width, height = case.frame
    edit: dict[str, object] = {"image": IMAGE, "frame": {"x": x, "y": y, "width": width, "height": height}}
    inputs = {IMAGE: before}
    if case.box is not None:
        left, top, right, bottom = case.box
        inputs[MASK] = torch.zeros(SIDE, SIDE, 1, dtype=torch.uint8)
        inputs[MASK][top:bottom, left:right] = 255
        edit |= {"mask": MASK, "strength": REPLACING}
    fields = {**given, "prompt": case.wanted, "width": width, "height": height, "edit": edit}
    recipe = Recipe.model_validate(fields)
    after = _levels(bundle, recipe, inputs)
    _require_kept(recipe, case, before, after, inputs.get(MASK))
    return before, after


def _require_kept(recipe: Recipe, case: Case, before: Tensor, after: Tensor, mask: Tensor | None) -> None:
    edit = recipe.edit
    assert isinstance(edit, Edit)
    x, y, width, height = case.frame
    frame = torch.ones(1, 1, height, width, dtype=torch.bool)
    frame[:, :, -y : SIDE - y, -x : SIDE - x] = False
    kept = distance(frame, edit.overlap) > edit.overlap
    if mask is not None:
        kept &= distance((mask > 0).permute(2, 0, 1)[None], edit.grow) > edit.grow
    within = after[-y : SIDE - y, -x : SIDE - x]
    assert torch.equal(
        within[kept[0, 0, -y : SIDE - y, -x : SIDE - x]], before[kept[0, 0, -y : SIDE - y, -x : SIDE - x]]
    )


def _levels(bundle: Bundle, recipe: Recipe, inputs: dict[str, Tensor]) -> Tensor:
    rgb = to_rgb_bytes(run(job_of(recipe, bundle, inputs), bundle))
    return torch.frombuffer(bytearray(rgb), dtype=torch.uint8).reshape(recipe.height, recipe.width, 3)


def _picture(levels: Tensor) -> Image.Image:
    return Image.fromarray(levels.numpy())


def _outlined(levels: Tensor, box: Box | None) -> Image.Image:
    picture = _picture(levels)
    if box is not None:
        ImageDraw.Draw(picture).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline="white")
    return picture


if __name__ == "__main__":
    main(Path(sys.argv[1]))
