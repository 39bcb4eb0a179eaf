"""Making what was painted anew agree in colour with the picture around it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models.infill import spread
from models.masks import distance

BAND = 8  # pixels
WIDE_BAND = 16  # for outpainting: as wide as the coarsest latents, whose pattern would else be taken for a colour
TOLERANCE = 0.4  # of -1..1: what differs by more shows something else rather than another colour


def match_colours(painted: Tensor, original: Tensor, region: Tensor, known: Tensor) -> Tensor:
    """Shift the colours of `painted` within `region` so that they go on from those of `original` around it.

    Both are (1, 3, H, W), the masks bool (1, 1, H, W); only `known` pixels outside the region count. The shift is what
    a band inside the rim lacks to what two bands outside it lead one to expect there, so that a sky may go on to
    change as it did; beyond the picture's edge it is expected to stay. It is averaged along the rim and spread
    smoothly into the region, as in Poisson image editing (Perez et al., 2003). Where the two differ by much they show
    different things, and the shift fades.
    """
    is_outpainted = not bool(known.all())
    band = WIDE_BAND if is_outpainted else BAND
    away = distance(region, 2 * band)
    inside, outside = region & (distance(~region, band) <= band), known & ~region
    ours, has_ours = _mean(painted, inside, band)
    near, has_near = _mean(original, outside & (away <= band), band)
    measured = inside & has_near & has_ours
    if not bool(measured.any()):
        return painted
    step = near - ours
    if not is_outpainted:  # where it goes on for ever, an error would go on with it
        far, has_far = _mean(original, outside & (away > band) & (away <= 2 * band), band)
        step = step + torch.where(has_far, near - far, 0.0)
    step = step / (1 + (step.abs().amax(1, keepdim=True) / TOLERANCE) ** 4)
    shift = spread(step, measured.to(painted.dtype))
    return painted + shift * region


def _mean(values: Tensor, where: Tensor, band: int) -> tuple[Tensor, Tensor]:
    """The mean of the values around each pixel where the mask is set, and whether there is any."""
    weights = where.to(values.dtype)
    sums, counts = _smooth(values * weights, band), _smooth(weights, band)
    return sums / counts.clamp(min=1e-6), counts > 1e-3


def _smooth(values: Tensor, band: int) -> Tensor:
    """The mean over a square, twice; along the rows and then the columns, which reads a sixteenth as many pixels."""
    for _ in range(2):
        values = F.avg_pool2d(values, (1, 2 * band + 1), 1, (0, band))
        values = F.avg_pool2d(values, (2 * band + 1, 1), 1, (band, 0))
    return values
