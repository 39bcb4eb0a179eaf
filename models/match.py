"""Making what was painted anew agree in colour with the picture around it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models.infill import spread
from models.masks import distance

RING = 16  # pixels
TOLERANCE = 0.16  # of -1..1: what differs by more shows something else rather than another colour


def match_colours(painted: Tensor, original: Tensor, region: Tensor, known: Tensor) -> Tensor:
    """Shift the colours of `painted` within `region` so that they agree with `original` in a ring around it.

    Both are (1, 3, H, W), the masks bool (1, 1, H, W); the ring is of pixels that are `known` and outside the region.
    The shift is the difference there, averaged over the ring's width and spread smoothly into the region, as in
    Poisson image editing (Perez et al., 2003); differences beyond `TOLERANCE` count for less the larger they are.
    """
    ring = known & ~region & (distance(region, RING) <= RING)
    if not bool(ring.any()):
        return painted
    difference = (original - painted) * ring
    weights = ring * torch.exp(-(difference.abs().amax(1, keepdim=True) / TOLERANCE).square())
    size = 2 * (RING // 2) + 1
    sums, counts = (_smooth(part, size) for part in (difference * weights, weights))
    agreed = counts > 1e-3
    shift = spread(sums / counts.clamp(min=1e-3) * agreed, (ring & agreed).to(painted.dtype))
    return painted + shift * region


def _smooth(values: Tensor, size: int) -> Tensor:
    for _ in range(2):
        values = F.avg_pool2d(values, size, 1, size // 2, count_include_pad=True)
    return values
