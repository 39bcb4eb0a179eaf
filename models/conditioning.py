"""What a recipe's prompts steer the network with. Knows no tokenizer and no network."""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor

from models.calls import Call, Encode
from models.denoise import Guidance
from models.recipe import Recipe


def conditioning(recipe: Recipe) -> Generator[Call, Tensor, Guidance]:
    """Encode the prompt, then, only for a guidance scale above 1, the negative prompt."""
    cond = yield Encode(recipe.prompt, recipe.clip_skip)
    if recipe.guidance_scale <= 1:
        return Guidance((cond,))
    uncond = yield Encode(recipe.negative_prompt, recipe.clip_skip)
    return Guidance((cond, uncond), recipe.guidance_scale, recipe.guidance_rescale)
