"""What is done to make one image, as a generator of calls. Knows no network and no device.

A job yields the uses of a network that it needs (`calls.py`), is sent each answer, and returns pixels. Jobs of
several users can so share the network's calls, and a test can answer with a list.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping

import torch
from torch import Tensor

from models.calls import Call, Decode, EncodeImage
from models.conditioning import conditioning
from models.denoise import Guidance, Showing
from models.edit import Edit, MaskedContent
from models.hires import enlarged, extra_steps
from models.noise import NoiseSource
from models.outpaint import outpaint
from models.recipe import Recipe
from models.resize import extend
from models.scene import scene_of
from models.tiling import tiled
from models.walk import ModelFacts, Start, masked_channels, steps_taken, takes_masks, walk

Job = Generator[Call, Tensor, Tensor]


def job_of(recipe: Recipe, model: ModelFacts, inputs: Mapping[str, Tensor]) -> Job:
    """Return the job that carries a recipe out.

    `inputs` has the pictures that the recipe names, by SHA-256: uint8 (H, W, channels), with 1 (mask), 3 or 4
    (the last is opacity) channels.
    """
    job = txt2img(recipe, model) if recipe.edit is None else _edit(recipe, model, recipe.edit, inputs)
    return tiled(job) if recipe.tiling else job


def txt2img(recipe: Recipe, model: ModelFacts) -> Job:
    """Make an image from a prompt; return pixels (1, 3, height, width), float32, -1..1 but not clipped.

    Encodes the prompt, then, only for a guidance scale above 1, the negative prompt. Draws the initial noise, then
    what the sampler draws. Raises `ValueError`, at the first step, for a recipe that this checkpoint cannot carry out.
    """
    shape = _latent_shape(recipe, model)
    guidance = yield from conditioning(recipe)
    noise, showing = NoiseSource.of(recipe, shape), Showing(after=extra_steps(recipe))
    latents = yield from walk(recipe, model, Start(recipe.steps), guidance=guidance, noise=noise, showing=showing)
    return (yield from _developed(recipe, model, guidance, latents, before=recipe.steps))


def img2img(recipe: Recipe, model: ModelFacts, pixels: Tensor, strength: float) -> Job:
    """Make an image that begins as `pixels` (1, 3, height, width) with noise on it, arXiv:2108.01073.

    Takes the last `int(steps * strength)` steps, as diffusers counts them; none leaves the pixels as they are. Encodes
    the prompts, then the pixels. Draws the initial noise, then what the sampler draws.
    """
    taken = steps_taken(recipe.steps, strength)
    if taken == 0 and recipe.hires is None:
        return pixels
    guidance = yield from conditioning(recipe)
    pixels = extend(pixels, model.config.vae_factor)
    latents = yield EncodeImage(pixels)
    if taken > 0:
        extra = None
        if takes_masks(model.config):
            extra = yield from masked_channels(pixels, torch.ones_like(pixels[:, :1]), model.config.vae_factor)
        noise, showing = NoiseSource.of(recipe, tuple(latents.shape)), Showing(after=extra_steps(recipe))
        start = Start(taken, content=latents, extra=extra)
        latents = yield from walk(recipe, model, start, guidance=guidance, noise=noise, showing=showing)
    return (yield from _developed(recipe, model, guidance, latents, before=taken))


def _edit(recipe: Recipe, model: ModelFacts, edit: Edit, inputs: Mapping[str, Tensor]) -> Job:
    """Image to image where all may change, inpainting and outpainting elsewhere; nothing where nothing may change."""
    scene = scene_of(recipe, edit, inputs)
    if scene.is_all_new and edit.masked_content is MaskedContent.ORIGINAL:
        return (yield from img2img(recipe, model, scene.pixels, edit.strength))
    if recipe.hires is not None:
        raise ValueError("hires goes with text to image and image to image, not where a part of the image is kept")
    if scene.is_unchanged:
        return scene.pixels
    return (yield from outpaint(recipe, model, edit, scene))


def _developed(recipe: Recipe, model: ModelFacts, guidance: Guidance, latents: Tensor, *, before: int) -> Job:
    """Turn latents that took `before` steps into pixels of the size that was asked for, enlarged if that was."""
    if recipe.hires is not None:
        return (yield from enlarged(recipe, model, recipe.hires, guidance=guidance, latents=latents, before=before))
    pixels = yield Decode(latents)
    return pixels[:, :, : recipe.height, : recipe.width]


def _latent_shape(recipe: Recipe, model: ModelFacts) -> tuple[int, int, int, int]:
    config = model.config
    if config.unet_in_channels != config.latent_channels:
        raise ValueError(
            f"checkpoint {recipe.checkpoint!r} takes {config.unet_in_channels} input channels, so it is made for "
            f"inpainting; text to image needs one that takes {config.latent_channels}"
        )
    for field in ("width", "height"):
        if getattr(recipe, field) % config.vae_factor:
            raise ValueError(
                f"{field} is {getattr(recipe, field)}; checkpoint {recipe.checkpoint!r} needs a multiple of "
                f"{config.vae_factor}"
            )
    factor = config.vae_factor
    return (1, config.latent_channels, recipe.height // factor, recipe.width // factor)
