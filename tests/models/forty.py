"""Forty outpaints to the right by the embedded model: `python -m tests.models.forty STRIP.png [FROM]`.

FROM is a colour such as 60,120,180, which is carried on with an empty prompt, or a prompt. All else is as it is by
default. Prints how far the mean colour of the frame has gone from that of the first, and draws all of it in rows.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

import models
from models.bundle import Bundle
from models.checkpoint.loading import load
from models.recipe import Recipe
from tests.models.edit_sheet import IMAGE, SIDE, _levels, _picture

TIMES, SHIFT = 40, 128  # pixels
PLAIN = "60,120,180"
ROW, GAP = 2048, 8  # pixels


def main(target: Path, begin: str = PLAIN) -> None:
    """Carry the picture on, say where its colour went, and write the strip after each time."""
    bundle = load(Path(models.__file__).parent / "embedded")
    is_plain = begin[0].isdigit()
    picture = _plain(begin) if is_plain else _levels(bundle, _recipe(bundle, begin, 3), {})
    first, strip = _mean(picture), picture
    for time in range(TIMES):
        recipe = _recipe(bundle, "" if is_plain else begin, time, {"image": IMAGE, "frame": _frame()})
        picture = _levels(bundle, recipe, {IMAGE: picture})
        strip = torch.cat((strip[:, : SHIFT * (time + 1)], picture), 1)
        gone = (_mean(picture) - first).abs().max()
        print(
            f"{time + 1:2}  {gone:.1f} levels from the first, contrast {picture.float().std((0, 1)).mean():.1f}",
            flush=True,
        )
        _drawn(strip).save(target)


def _recipe(bundle: Bundle, prompt: str, seed: int, edit: dict[str, object] | None = None) -> Recipe:
    fields = {**bundle.defaults, "prompt": prompt, "seed": seed, "width": SIDE, "height": SIDE, "edit": edit}
    return Recipe.model_validate(fields)


def _frame() -> dict[str, int]:
    return {"x": SHIFT, "y": 0, "width": SIDE, "height": SIDE}


def _plain(colour: str) -> Tensor:
    return torch.tensor([int(level) for level in colour.split(",")], dtype=torch.uint8).repeat(SIDE, SIDE, 1)


def _mean(picture: Tensor) -> Tensor:
    return picture.float().mean((0, 1))


def _drawn(strip: Tensor) -> Image.Image:
    rows = torch.split(strip, ROW, 1)
    sheet = Image.new("RGB", (ROW, len(rows) * (SIDE + GAP)), "white")
    for number, row in enumerate(rows):
        sheet.paste(_picture(row.contiguous()), (0, number * (SIDE + GAP)))
    return sheet


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
