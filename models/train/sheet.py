"""Contact sheets: what a checkpoint makes of fixed prompts, and of captions that it was not trained on."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from ..checkpoint.folder import load
from ..jobs import txt2img
from ..pixels import to_rgb_bytes
from ..recipe import Recipe
from ..run import run
from .pictures import HELD_OUT, scene_of
from .scene import caption

COLUMNS = 6
TEXT_HEIGHT = 58


def held_out_prompts(count: int) -> list[str]:
    """Return captions of scenes that are never trained on."""
    return [caption(scene_of(HELD_OUT + 20_000 + i), Random(i)) for i in range(count)]


def sheet(checkpoint: Path, prompts: Sequence[str], target: Path, **options: object) -> None:
    """Draw each prompt with the checkpoint's defaults, changed by `options`, at the seed of its number."""
    bundle = load(checkpoint)
    pictures = []
    for seed, prompt in enumerate(tqdm(prompts, "sheet")):
        recipe = Recipe.model_validate({**bundle.defaults, "prompt": prompt, "seed": seed, **options})
        pixels = to_rgb_bytes(run(txt2img(recipe, bundle), bundle))
        pictures.append(Image.frombytes("RGB", (recipe.width, recipe.height), pixels))
    compose(pictures, prompts).save(target)


def compose(pictures: Sequence[Image.Image], captions: Sequence[str]) -> Image.Image:
    """Lay pictures out in rows with their captions beneath."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (width + 8), rows * (height + TEXT_HEIGHT)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for i, (picture, text) in enumerate(zip(pictures, captions, strict=True)):
        x, y = i % COLUMNS * (width + 8), i // COLUMNS * (height + TEXT_HEIGHT)
        page.paste(picture, (x, y))
        draw.multiline_text((x + 2, y + height + 2), textwrap.fill(text, 38), fill="black", font=font)
    return page
