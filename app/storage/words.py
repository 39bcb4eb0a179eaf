"""What pictures are searched by: prompt and a few facts as one folded text, and a query as the words to find in it.

A word is found anywhere in the text, whatever its case and width; what is a number alone, only as a whole one, or the
digits of seeds would answer to any short one. Negative prompts are not searched: they name what is not in the picture.
"""

from __future__ import annotations

import re
import unicodedata

from models.recipe import Recipe, Scheduler
from models.sampler_names import SAMPLERS, SCHEDULERS


def fold(text: str) -> str:
    """The text without differences of case and width (NFKC), its control characters as spaces."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).replace("×", "x")
    return "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in plain)


def of_image(recipe: Recipe | None, width: int, height: int) -> str:
    """The text of an image of this size in pixels; without a recipe it is an upload."""
    if recipe is None:
        prompt, facts, seed = "", "upload", ""
    else:
        prompt, seed = recipe.prompt, str(recipe.seed)
        facts = f"{recipe.checkpoint} {recipe.sampler} {SAMPLERS[recipe.sampler].label}"
        if recipe.scheduler != Scheduler.NORMAL:
            facts += f" {SCHEDULERS[recipe.scheduler].label}"
    words = fold(f"{prompt} {facts} {width}x{height}")
    return f"{words}\n {' '.join([*dict.fromkeys(re.findall('[0-9]+', words)), seed])} "


def wanted(query: str) -> list[str]:
    """The pieces that the text of an image must hold, all of them; the longest, which is the rarest, first."""
    words = dict.fromkeys(fold(query).split())
    return [f" {word} " if re.fullmatch("[0-9]+", word) else word for word in sorted(words, key=len, reverse=True)]
