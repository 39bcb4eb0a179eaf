"""Making what was painted anew agree in colour with the picture around it, and how plain that is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models.infill import spread
from models.masks import distance, rise
from models.windows import largest_near, mean_near

BAND = 8  # pixels
WIDE_BAND = 16  # for outpainting: as wide as the coarsest latents, whose pattern would else be taken for a colour
TOLERANCE = 0.4  # of -1..1: what differs by more shows something else rather than another colour
HELD, FREE = 16, 32  # pixels from the rim: as far as that a smooth picture's colours are held, and where they are free
SMOOTH = 3.0 / 127.5  # detail of this strength makes a place half as smooth as one without any
FINE, COARSE = 2, 6  # pixels: detail lies between; finer is grain, or the weave of a decoder
TINT = 0.1  # of -1..1: what differs by less is another colour; by twice as much, a thing
GLOW = 6  # pixels around a thing that belong to it
CHORD = 16  # pixels each way along the rim, over all of which a thing has to be there to cross it
ENDING, CROSSING = 0.5, 0.7  # how strong, beside its strongest, a thing is at the rim where it ends, or goes on beyond


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


def hold_smooth(painted: Tensor, original: Tensor, region: Tensor, known: Tensor) -> Tensor:
    """Give `painted` the colours of `original` (1, 3, H, W) next to the rim of `region`, where that is smooth there.

    What is finer than a few pixels stays as it was painted, and so does a thing that ends within the region, as a moon
    in a sky does. Where there is an edge or a texture nothing is changed, nor where nothing was `known`; towards there
    it fades, so that no step begins at that edge.
    """
    there = region & known
    near = 1 - rise((distance(~region, FREE) - HELD) / (FREE - HELD))
    inland = rise(distance(~known, FREE) / FREE)
    lacking, _ = _mean(original - painted, there, FINE)
    depth = near * inland * smoothness(original, known) * there
    return painted + lacking * depth * (1 - _within(lacking.abs().amax(1, keepdim=True), depth, region))


def _within(strength: Tensor, depth: Tensor, region: Tensor) -> Tensor:
    """Where (1, 1, H, W) 0..1 what was painted is a thing that ends within the region, rather than across its rim.

    A thing differs by a `strength` of more than a tint. It crosses the rim as strongly as it does at its weakest along
    a stretch of the rim, and is followed from there over what is no weaker, a reconstruction of grey values (Vincent,
    1993). `depth` is how far colours are to be held.
    """
    level = strength * (depth > 0)
    rim = (distance(~region, 1) <= 1) & (depth > 0.5)
    weakest = -largest_near(torch.where(rim, -level, -torch.inf), CHORD)
    crossing = torch.where(rim, weakest, 0.0)
    for _ in range(2 * FREE // GLOW):
        crossing = torch.minimum(largest_near(crossing, GLOW), level)
    share = largest_near(crossing, CHORD) / largest_near(level, CHORD).clamp(min=TINT)
    ends = rise(level / TINT - 1) * (1 - rise((share - ENDING) / (CROSSING - ENDING)))
    return torch.maximum(ends, _smooth(largest_near(ends, GLOW), GLOW // 2))


def hold(painted: Tensor, wanted: Tensor, share: Tensor) -> Tensor:
    """Give `painted` the colours of `wanted` (1, 3, H, W), by a `share` (1, 1, H, W); what is finer than them stays."""
    if not bool((share > 0).any()):
        return painted
    lacking, _ = _mean(wanted - painted, torch.ones_like(share), FINE + 1)
    return painted + lacking * (1 - (1 - share) ** 2)


def smoothness(pixels: Tensor, known: Tensor) -> Tensor:
    """How smooth pixels (1, 3, H, W) are around each place, from 1 for a plain or a gradient to 0; (1, 1, H, W)."""
    rows, columns = torch.meshgrid(*(torch.arange(side, dtype=pixels.dtype) for side in known.shape[2:]), indexing="ij")
    placed = torch.cat((pixels, rows[None, None], columns[None, None]), 1)
    between = _mean(placed, known, FINE)[0] - _mean(placed, known, COARSE)[0]
    detail = between[:, :3]
    for axis in (2, 3):  # at an edge the two means are of different places, and a gradient is no detail
        both = known.narrow(axis, 1, known.shape[axis] - 1) & known.narrow(axis, 0, known.shape[axis] - 1)
        pad = (0, 0, 0, 1) if axis == 2 else (0, 1)
        slope, _ = _mean(F.pad(pixels.diff(dim=axis), pad), F.pad(both.float(), pad) > 0, COARSE)
        detail = detail - slope * between[:, axis + 1 : axis + 2]
    rough, _ = _mean(detail.abs().amax(1, keepdim=True), known, COARSE)
    return 1 / (1 + (rough / SMOOTH) ** 4)


def off_plane(pixels: Tensor, where: Tensor) -> float:
    """What pixels (1, 3, H, W) deviate by, in the channel where that is most, from the plane that fits them best."""
    rows, columns = torch.nonzero(where[0, 0], as_tuple=True)
    colours = pixels[0, :, rows, columns].T.double()  # (n, 3)
    places = torch.stack((rows, columns, torch.ones_like(rows)), 1).double()
    places = places / places.amax(0).clamp(min=1)
    plane = torch.linalg.lstsq(places.T @ places, places.T @ colours, driver="gelsd").solution
    return float((colours - places @ plane).square().mean(0).max().sqrt())


def _mean(values: Tensor, where: Tensor, band: int) -> tuple[Tensor, Tensor]:
    """The mean of the values around each pixel where the mask is set, and whether there is any."""
    weights = where.to(values.dtype)
    sums, counts = _smooth(values * weights, band), _smooth(weights, band)
    return sums / counts.clamp(min=1e-6), counts > 1e-3


def _smooth(values: Tensor, band: int) -> Tensor:
    """The mean over a square, twice."""
    return mean_near(mean_near(values, band, band), band, band)
