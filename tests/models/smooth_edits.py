"""The seams of edits on smooth backgrounds by the embedded model: `python -m tests.models.smooth_edits [SHEET.png]`.

Boxes on the sides, in the corners and in the middle of six pictures are painted anew by the picture's own prompt, at
the default strength and at 1, all else as it is by default. A box counts where the picture is smooth along its rim.
Prints the colour step there, and the energy of the gradients across the rim beside that along it, both as multiples
of the picture's own before, and how many are within the figures of `test_seams`.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

import models
from models.bundle import Bundle
from models.checkpoint.loading import load
from models.edit import Edit
from models.masks import distance, grown
from models.match import smoothness
from models.pixels import from_rgb
from models.recipe import Recipe
from tests.models.edit_sheet import DESERT, IMAGE, LAKE, MASK, MEADOW, NIGHT, SEA, SIDE, SUNSET, Box, _levels, _picture
from tests.models.seams import RING, across_and_along, colour_step

PICTURES = ((SUNSET, 2), (SEA, 2), (LAKE, 7), (MEADOW, 6), (DESERT, 4), (NIGHT, 5))
BOXES = ((0, 40, 64, 88), (192, 40, 256, 88), (0, 0, 72, 56), (184, 0, 256, 56), (88, 0, 168, 48), (88, 32, 168, 80))
GRAIN = 17  # pixels, that of the embedded decoder's patches: its weave is no roughness of the picture
SMOOTH = 0.9  # the mean of `smoothness` in the ring around the rim
STRENGTHS = (0.75, 1.0)
MAX_STEP, MAX_RATIO = 2.0, 1.15
DEPTH = 12  # pixels from the rim inwards where gradients are compared: the default ramp
COLUMNS = 8


def main(target: Path | None = None) -> None:
    """Repaint, measure and count; with a target, draw each picture, and below it what became of it."""
    bundle = load(Path(models.__file__).parent / "embedded")
    steps: list[float] = []
    ratios: list[float] = []
    drawn: list[Tensor] = []
    for prompt, seed in PICTURES:
        before = _levels(bundle, _recipe(bundle, prompt, seed), {})
        for box, strength in product(BOXES, STRENGTHS):
            mask = _mask(box)
            region = grown(mask.permute(2, 0, 1)[None].float(), Edit.model_fields["grow"].default) > 0
            if _smooth_around(from_rgb(before), region) < SMOOTH:
                continue
            edit = {"image": IMAGE, "mask": MASK, "strength": strength}
            after = _levels(bundle, _recipe(bundle, prompt, len(steps), edit), {IMAGE: before, MASK: mask})
            steps.append(colour_step(from_rgb(after), from_rgb(before), region))
            ratios.append(_ratio(after, region) / max(1.0, _ratio(before, region)))
            drawn.append(torch.cat((before, after)))
            print(f"{prompt}, {box}, {strength}: {steps[-1]:.1f} levels, {ratios[-1]:.2f}", flush=True)
    for name, found, limit in (("levels", steps, MAX_STEP), ("across / along", ratios, MAX_RATIO)):
        print(f"{sum(each <= limit for each in found)} of {len(found)} within {limit} {name}; worst {max(found):.2f}")
    if target:
        rows = [torch.cat(drawn[at : at + COLUMNS], 1) for at in range(0, len(drawn), COLUMNS)]
        sheet = torch.zeros(len(rows) * 2 * SIDE, COLUMNS * SIDE, 3, dtype=torch.uint8)
        for number, row in enumerate(rows):
            sheet[number * 2 * SIDE : (number + 1) * 2 * SIDE, : row.shape[1]] = row
        _picture(sheet).save(target)


def _recipe(bundle: Bundle, prompt: str, seed: int, edit: dict[str, object] | None = None) -> Recipe:
    return Recipe.model_validate({**bundle.defaults, "prompt": prompt, "seed": seed, "edit": edit})


def _mask(box: Box) -> Tensor:
    left, top, right, bottom = box
    mask = torch.zeros(SIDE, SIDE, 1, dtype=torch.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def _ratio(levels: Tensor, region: Tensor) -> float:
    rows, columns = torch.nonzero(region[0, 0], as_tuple=True)
    box = int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
    across, along = across_and_along(from_rgb(levels), box, DEPTH)
    return across / along


def _smooth_around(pixels: Tensor, region: Tensor) -> float:
    pixels = F.avg_pool2d(pixels, GRAIN, 1, GRAIN // 2, count_include_pad=False)
    ring = (distance(region, RING) <= RING) & (distance(~region, RING) <= RING)
    return float(smoothness(pixels, torch.ones_like(region))[ring].mean())


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:]))
