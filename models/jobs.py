"""What is done to make one image, as a generator of calls. Knows no network and no device.

A job yields the uses of a network that it needs (`calls.py`), is sent each answer, and returns pixels. Jobs of
several users can so share the network's calls, and a test can answer with a list.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Protocol

from torch import Tensor

from models.calls import Call, Decode, EncodeImage
from models.conditioning import conditioning
from models.denoise import denoise
from models.noise import NoiseSource
from models.pixels import from_rgb
from models.recipe import Recipe
from models.samplers import SAMPLERS
from models.schedule import Schedule

Job = Generator[Call, Tensor, Tensor]


class LatentFacts(Protocol):
    """The shape of a checkpoint's latents and of what its U-Net takes."""

    @property
    def latent_channels(self) -> int: ...
    @property
    def unet_in_channels(self) -> int: ...
    @property
    def vae_factor(self) -> int: ...


class ModelFacts(Protocol):
    """What a job must know of a checkpoint; a `Bundle` has it."""

    @property
    def schedule(self) -> Schedule: ...
    @property
    def config(self) -> LatentFacts: ...


def job_of(recipe: Recipe, model: ModelFacts, inputs: Mapping[str, Tensor]) -> Job:
    """Return the job that carries a recipe out.

    `inputs` has the pictures that the recipe names, by SHA-256: uint8 (H, W, channels), with 1 (mask), 3 or 4
    (the last is opacity) channels.
    """
    if recipe.edit is None:
        return txt2img(recipe, model)
    return img2img(recipe, model, from_rgb(inputs[recipe.edit.image][:, :, :3]), recipe.edit.strength)


def txt2img(recipe: Recipe, model: ModelFacts) -> Job:
    """Make an image from a prompt; return pixels (1, 3, height, width), float32, -1..1 but not clipped.

    Encodes the prompt, then, only for a guidance scale above 1, the negative prompt. Draws the initial noise, then
    what the sampler draws. Raises `ValueError`, at the first step, for a recipe that this checkpoint cannot carry out.
    """
    shape = _latent_shape(recipe, model.config)
    sigmas = model.schedule.sigmas(recipe.steps)
    guidance = yield from conditioning(recipe)
    noise = NoiseSource(recipe.seed, shape)
    x = model.schedule.start(noise(), sigmas[0])
    sampler = SAMPLERS[recipe.sampler](x, sigmas, noise, recipe.eta)
    latents = yield from denoise(sampler, sigmas, schedule=model.schedule, guidance=guidance)
    return (yield Decode(latents))


def img2img(recipe: Recipe, model: ModelFacts, pixels: Tensor, strength: float) -> Job:
    """Make an image that begins as `pixels` (1, 3, height, width) with noise on it, arXiv:2108.01073.

    Takes the last `int(steps * strength)` steps, as diffusers counts them; none leaves the pixels as they are. Encodes
    the prompts, then the pixels. Draws the initial noise, then what the sampler draws.
    """
    taken = int(recipe.steps * strength)
    if taken == 0:
        return pixels
    sigmas = model.schedule.sigmas(recipe.steps)[-taken - 1 :]
    guidance = yield from conditioning(recipe)
    latents = yield EncodeImage(pixels)
    noise = NoiseSource(recipe.seed, tuple(latents.shape))
    x = model.schedule.add_noise(latents, noise(), sigmas[0])
    sampler = SAMPLERS[recipe.sampler](x, sigmas, noise, recipe.eta)
    latents = yield from denoise(sampler, sigmas, schedule=model.schedule, guidance=guidance)
    return (yield Decode(latents))


def _latent_shape(recipe: Recipe, config: LatentFacts) -> tuple[int, int, int, int]:
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
