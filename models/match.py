"""Making what was painted anew agree in colour with the picture around it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from models.infill import spread
from models.masks import distance

BAND = 8  # pixels, on each side of the rim
TOLERANCE = 0.4  # of -1..1: what differs by more shows something else rather than another colour


def match_colours(painted: Tensor, original: Tensor, region: Tensor, known: Tensor) -> Tensor:
    """Shift the colours of `painted` within `region` so that they go on from those of `original` around it.

    Both are (1, 3, H, W), the masks bool (1, 1, H, W); only `known` pixels outside the region count. The shift is the
    difference between a band outside the rim and one inside it, averaged along the rim and spread smoothly into the
    region, as in Poisson image editing (Perez et al., 2003). Where the two differ by much they show different things,
    and the shift fades.
    """
    inside = region & (distance(~region, BAND) <= BAND)
    outside = known & ~region & (distance(region, BAND) <= BAND)
    theirs, has_theirs = _mean(original, outside)
    ours, has_ours = _mean(painted, inside)
    measured = inside & has_theirs & has_ours
    if not bool(measured.any()):
        return painted
    step = theirs - ours
    step = step / (1 + (step.abs().amax(1, keepdim=True) / TOLERANCE) ** 4)
    shift = spread(step, measured.to(painted.dtype))
    return painted + shift * region


def _mean(values: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of the values around each pixel where the mask is set, and whether there is any."""
    weights = where.to(values.dtype)
    sums, counts = _smooth(values * weights), _smooth(weights)
    return sums / counts.clamp(min=1e-6), counts > 1e-2


def _smooth(values: Tensor) -> Tensor:
    for _ in range(2):
        values = F.avg_pool2d(values, 2 * BAND + 1, 1, BAND)
    return values
