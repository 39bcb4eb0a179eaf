"""How far generated pictures are from rendered ones in texture: smears, weave and noise that no reader of scenes minds.

The sliced Wasserstein distance of patches at each level of a Laplacian pyramid (arXiv:1710.10196 section 5).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

LEVELS = 3  # of the pyramid: the pictures as they are, at a half and at a quarter
PATCH = 7  # pixels a side
PATCHES = 192  # of each picture at each level
DIRECTIONS = 256


def distance(pictures: NDArray[np.uint8], others: NDArray[np.uint8], seed: int = 0) -> list[float]:
    """Return the distance of two sets (N, H, W, 3) at each level, finest first; 0 for equal sets.

    In thousandths of the standard deviation of patches of the second set, so that levels can be compared.
    """
    if pictures.shape != others.shape:
        raise ValueError(f"two sets of one shape, not {pictures.shape} and {others.shape}")
    generator = torch.Generator().manual_seed(seed)
    found = []
    for level, reference in zip(_pyramid(pictures), _pyramid(others), strict=True):
        places = _places(level, generator)
        ours, theirs = _patches(level, places), _patches(reference, places)
        mean, deviation = theirs.mean((0, 2), keepdim=True), theirs.std((0, 2), keepdim=True).clamp_min(1e-6)
        directions = torch.randn(3 * PATCH**2, DIRECTIONS, generator=generator)
        directions = directions / directions.norm(dim=0)
        one, two = (_projected((patches - mean) / deviation, directions) for patches in (ours, theirs))
        found.append(1000 * float((one - two).abs().mean()))
    return found


def _pyramid(pictures: NDArray[np.uint8]) -> list[Tensor]:
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    levels = []
    for _ in range(LEVELS):
        smaller = F.avg_pool2d(x, 2)
        levels.append(x - F.interpolate(smaller, size=x.shape[-2:], mode="bilinear"))
        x = smaller
    return levels


def _places(level: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Choose corners of patches, the same for both sets."""
    height, width = level.shape[-2:]
    tops = torch.randint(height - PATCH + 1, (PATCHES,), generator=generator)
    return tops, torch.randint(width - PATCH + 1, (PATCHES,), generator=generator)


def _patches(level: Tensor, places: tuple[Tensor, Tensor]) -> Tensor:
    """Return patches (N * PATCHES, 3, PATCH ** 2)."""
    every = [
        level[:, :, y : y + PATCH, x : x + PATCH].flatten(2) for y, x in zip(*map(Tensor.tolist, places), strict=True)
    ]
    return torch.cat(every)


def _projected(patches: Tensor, directions: Tensor) -> Tensor:
    """Sort the patches along each direction: (N * PATCHES, DIRECTIONS)."""
    return (patches.flatten(1) @ directions).sort(dim=0).values
