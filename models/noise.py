"""The randomness of one image. The only place, beside training, that draws random numbers."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from models.recipe import Recipe

HEIGHT = 2  # the axis of (1, C, h, w) along which noises are turned
PARALLEL = 0.9995  # noises that agree this much are the same


class NoiseSource:
    """Draw standard normal noise of one shape, (1, C, h, w), from a generator that belongs to one image alone.

    The generator lives on the CPU and draws float32 whatever the device, so that a seed means the same picture
    everywhere. Order of draws: what is drawn `aside`, the initial noise, then one for each stochastic step of the
    sampler. The first of all equals `torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))`, as in
    diffusers; with a `subseed` the initial noise is turned towards that seed's first draw by `subseed_strength` 0..1.
    """

    def __init__(
        self, seed: int, shape: tuple[int, ...], *, subseed: int | None = None, subseed_strength: float = 0.0
    ) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed)
        self._shape = shape
        self._variation = None if subseed is None or subseed_strength == 0 else (subseed, subseed_strength)

    @classmethod
    def of(cls, recipe: Recipe, shape: tuple[int, ...]) -> Self:
        """The noise of a recipe, for latents of this shape."""
        return cls(recipe.seed, shape, subseed=recipe.subseed, subseed_strength=recipe.subseed_strength)

    def __call__(self) -> Tensor:
        noise = self.aside()
        if self._variation is None:
            return noise
        (subseed, strength), self._variation = self._variation, None
        return slerp(noise, NoiseSource(subseed, self._shape)(), strength)

    def aside(self) -> Tensor:
        """Draw what is not the initial noise, before that is drawn."""
        return torch.randn(self._shape, generator=self._generator, dtype=torch.float32)


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Turn noise (1, C, h, w) by a share of its angle to another, each column for itself (Shoemake 1985, equation 1).

    That it is columns, and not the whole, is the web UI's way; the same seeds give here the noise that they give there.
    """
    cosine = torch.cosine_similarity(start, end, dim=HEIGHT).unsqueeze(HEIGHT)
    if float(cosine.mean()) > PARALLEL:
        return start
    angle = cosine.clamp(-1, 1).acos()
    turned = (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / torch.sin(angle)
    return torch.where(torch.sin(angle) > 0, turned, start)
