"""Contact sheets: what a checkpoint makes of fixed prompts, and of captions that it was not trained on."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageFont

from ..checkpoint.facts import inspect
from ..checkpoint.loading import load
from .gallery import draw, recipes_of
from .pictures import HELD_OUT, scene_of
from .scene import FIRST_WORLD, World
from .speech import caption

COLUMNS = 6
TEXT_HEIGHT = 58


def held_out_prompts(count: int, world: World = FIRST_WORLD) -> list[str]:
    """Return captions of scenes that are never trained on."""
    return [caption(scene_of(HELD_OUT + 20_000 + i, world), Random(i)) for i in range(count)]


def examples_of(checkpoint: Path) -> list[str]:
    """Return the prompts that a checkpoint folder gives as examples."""
    return list(inspect(checkpoint).examples)


def sheet(checkpoint: Path, prompts: Sequence[str], target: Path, **options: object) -> None:
    """Draw each prompt with the checkpoint's defaults, changed by `options`, at the seed of its number."""
    bundle = load(checkpoint)
    pictures = [Image.fromarray(picture) for picture in draw(bundle, recipes_of(bundle, prompts, **options), "sheet")]
    compose(pictures, prompts).save(target)


def compose(pictures: Sequence[Image.Image], captions: Sequence[str]) -> Image.Image:
    """Lay pictures out in rows with their captions beneath, in cells that hold the largest."""
    width, height = (max(picture.size[axis] for picture in pictures) for axis in (0, 1))
    rows = -(-len(pictures) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (width + 8), rows * (height + TEXT_HEIGHT)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for i, (picture, text) in enumerate(zip(pictures, captions, strict=True)):
        x, y = i % COLUMNS * (width + 8), i // COLUMNS * (height + TEXT_HEIGHT)
        page.paste(picture, (x, y))
        draw.multiline_text((x + 2, y + picture.height + 2), textwrap.fill(text, 38), fill="black", font=font)
    return page
