"""A second pass that enlarges: the first picture, resampled, is denoised anew at a strength ("hires fix")."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor
from torch.nn import functional as F

from models.calls import Call, Decode, EncodeImage
from models.denoise import Guidance, Showing
from models.edit import Hires
from models.noise import NoiseSource
from models.recipe import Recipe
from models.resize import extend, lanczos
from models.walk import ModelFacts, Start, masked_channels, steps_taken, takes_masks, walk


def extra_steps(recipe: Recipe) -> int:
    """Return how many steps the second pass of a recipe takes; 0 without one."""
    hires = recipe.hires
    return 0 if hires is None else steps_taken(hires.steps or recipe.steps, hires.strength)


def enlarged(
    recipe: Recipe, model: ModelFacts, hires: Hires, *, guidance: Guidance, latents: Tensor, before: int
) -> Generator[Call, Tensor, Tensor]:
    """Enlarge a picture's latents, denoise them anew and return pixels (1, 3, H, W) of `hires.size`.

    `before` is how many steps the first pass took. Draws from the recipe's seed anew, in the larger shape.
    """
    width, height = hires.size(recipe.width, recipe.height)
    factor, taken = model.config.vae_factor, extra_steps(recipe)
    if hires.upscaler == "lanczos":
        pixels = yield Decode(latents)
        pixels = lanczos(pixels[:, :, : recipe.height, : recipe.width].clamp(-1, 1), height, width).clamp(-1, 1)
        latents = yield EncodeImage(extend(pixels, factor))
    else:
        rows, columns = latents.shape[2:]  # which go on beyond a picture whose sides are no multiples of the factor
        size = (-(-rows * height // recipe.height), -(-columns * width // recipe.width))
        latents = F.interpolate(latents, size=size, mode="bicubic", align_corners=False)
    if taken > 0:
        extra = None
        if takes_masks(model.config):
            grey = torch.zeros(1, 3, *(side * factor for side in latents.shape[2:]))
            extra = yield from masked_channels(grey, torch.ones_like(grey[:, :1]), factor)
        start = Start(taken, content=latents, extra=extra)
        again = recipe.model_copy(update={"steps": hires.steps or recipe.steps})
        noise = NoiseSource.of(recipe, tuple(latents.shape))
        latents = yield from walk(again, model, start, guidance=guidance, noise=noise, showing=Showing(before=before))
    pixels = yield Decode(latents)
    return pixels[:, :, :height, :width]
