"""One walk from noise to latents, as a recipe says: its levels, its noise, and what it keeps as it is."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.calls import Call, EncodeImage
from models.denoise import Guidance, Showing, denoise
from models.known import Known
from models.masks import cells
from models.noise import NoiseSource
from models.recipe import Recipe, Sampler
from models.samplers import SAMPLERS
from models.schedule import Schedule

Walk = Generator[Call, Tensor, Tensor]


class LatentFacts(Protocol):
    """The shape of a checkpoint's latents and of what its U-Net takes, and its native size in pixels."""

    @property
    def latent_channels(self) -> int: ...
    @property
    def unet_in_channels(self) -> int: ...
    @property
    def vae_factor(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


class ModelFacts(Protocol):
    """What a job must know of a checkpoint; a `Bundle` has it."""

    @property
    def schedule(self) -> Schedule: ...
    @property
    def config(self) -> LatentFacts: ...


@dataclass(frozen=True, eq=False)
class Start:
    """Where a walk begins: `content` (1, C, h, w) with noise on it, or noise alone, `taken` steps before the end.

    `known` latents stay where `mask` (1, 1, h, w) says so, and draw the others as far as `lean` says (`Known`); `extra`
    are the further channels of an inpainting U-Net.
    """

    taken: int
    content: Tensor | None = None
    known: Tensor | None = None
    mask: Tensor | None = None
    lean: Tensor | None = None
    extra: Tensor | None = None


def steps_taken(steps: int, strength: float) -> int:
    """Return how many of the steps are taken at a strength of 0..1, as diffusers counts them."""
    return int(steps * strength)


def walk(
    recipe: Recipe,
    model: ModelFacts,
    start: Start,
    *,
    guidance: Guidance,
    noise: NoiseSource,
    showing: Showing | None = None,
) -> Walk:
    """Denoise to latents of the noise's shape. Draws the initial noise, then what the sampler draws.

    The initial noise is also the one that the known latents are put at a level with.
    """
    sigmas = levels(recipe, model.schedule)[-start.taken - 1 :]
    first = noise()
    if start.content is None:
        x = model.schedule.start(first, sigmas[0])
    else:
        x = model.schedule.add_noise(start.content, first, sigmas[0])
    known = None
    if start.known is not None and start.mask is not None:
        known = Known(start.known, first, start.mask, start.lean)
    sampler = SAMPLERS[recipe.sampler](x, sigmas, noise, recipe.eta)
    return (
        yield from denoise(
            sampler, sigmas, schedule=model.schedule, guidance=guidance, known=known, extra=start.extra, showing=showing
        )
    )


def levels(recipe: Recipe, schedule: Schedule) -> list[float]:
    """Return the noise levels of a whole walk. Only DDIM ends above 0 where the checkpoint says so, as in diffusers."""
    sigmas = schedule.sigmas(recipe.steps, recipe.scheduler)
    return sigmas if recipe.sampler is Sampler.DDIM else [*sigmas[:-1], 0.0]


def takes_masks(config: LatentFacts) -> bool:
    """Whether the U-Net is made for inpainting: it takes a mask and the latents of what is known beside the latents."""
    return config.unet_in_channels == 2 * config.latent_channels + 1


def masked_channels(pixels: Tensor, mask: Tensor, factor: int) -> Walk:
    """The further channels (1, 1 + C, h, w) of an inpainting U-Net: the mask, then the latents of the masked picture.

    The picture is grey where the mask is at least a half, as diffusers has it; `mask` is (1, 1, H, W).
    """
    hidden = (mask >= 0.5).to(pixels.dtype)
    latents = yield EncodeImage(pixels * (1 - hidden))
    return torch.cat((cells(hidden, factor), latents), dim=1)
