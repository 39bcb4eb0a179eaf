"""The part of an image that an edit keeps, while the rest is denoised."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Known:
    """Known latents (1, C, h, w), the one noise that they are put at a level with, and the mask of what may change.

    `mask` (1, 1, h, w) is a schedule, arXiv:2306.00950: a cell of value g is known until the last share g of the
    steps, so it is changed as image to image of strength g would; 0 stays known, 1 never is.
    `lean` (1, 1, h, w) 0..1 draws each prediction of what may change so far towards the known latents.
    """

    latents: Tensor
    noise: Tensor
    mask: Tensor
    lean: Tensor | None = None

    def renoise(self, x: Tensor, sigma: float, *, remaining: float) -> Tensor:
        """Put what is known at the noise level `sigma`; `remaining` is the share of the steps that are to come."""
        return torch.where(self.mask >= remaining, x, self.latents + self.noise * sigma)

    def keep(self, denoised: Tensor, *, remaining: float) -> Tensor:
        """Put what is known into the latents that the network predicts, and lean the others towards it."""
        if self.lean is not None:
            denoised = torch.lerp(denoised, self.latents, self.lean)
        return torch.where(self.mask >= remaining, denoised, self.latents)

    def finish(self, latents: Tensor) -> Tensor:
        """Put what stayed known to the end into the result, without noise."""
        return torch.where(self.mask > 0, latents, self.latents)
