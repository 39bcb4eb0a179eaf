"""What a recipe's prompts steer the network with. Knows no tokenizer and no network."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from models.calls import Call, Encode
from models.denoise import Guidance
from models.recipe import Recipe


def conditioning(recipe: Recipe) -> Generator[Call, Tensor, Guidance]:
    """Encode the prompt, then, only for a guidance scale above 1, the negative prompt.

    Both go through the network as rows of one call, so the shorter one is filled up with chunks of the empty prompt.
    """
    cond = yield Encode(recipe.prompt, recipe.clip_skip)
    if recipe.guidance_scale <= 1:
        return Guidance((cond,))
    uncond = yield Encode(recipe.negative_prompt, recipe.clip_skip)
    if len(cond) != len(uncond):
        empty = yield Encode("", recipe.clip_skip)
        tokens = max(len(cond), len(uncond))
        cond, uncond = _filled(cond, empty, tokens), _filled(uncond, empty, tokens)
    interval = {"start": recipe.guidance_start, "end": recipe.guidance_end}
    return Guidance((cond, uncond), recipe.guidance_scale, recipe.guidance_rescale, **interval)


def _filled(states: Tensor, empty: Tensor, tokens: int) -> Tensor:
    missing = (tokens - len(states)) // len(empty)
    return torch.cat((states, *(empty,) * missing))
