"""The randomness of one image. The only place, beside training, that draws random numbers."""

from __future__ import annotations

import torch
from torch import Tensor


class NoiseSource:
    """Draw standard normal noise of one shape, (1, C, h, w), from a generator that belongs to one image alone.

    The generator lives on the CPU and draws float32 whatever the device, so that a seed means the same picture
    everywhere. Order of draws: the first is the initial noise, then one for each stochastic step of the sampler.
    The first equals `torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))`, as in diffusers.
    """

    def __init__(self, seed: int, shape: tuple[int, ...]) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed)
        self._shape = shape

    def __call__(self) -> Tensor:
        return torch.randn(self._shape, generator=self._generator, dtype=torch.float32)
