"""What stands where a picture has no pixels yet, before it is encoded.

The network starts from it, so it should have the colours of what is next to it and no edge that is not there.
"""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor
from torch.nn import functional as F

from models.edit import Infill
from models.noise import NoiseSource
from models.windows import mean_near

RELAXATIONS = 8  # at each level of the pyramid; more changes nothing that can be seen
BANDS = ((4, 8), (8, 48))  # pixels above and beside a place of the edge whose mean is carried on: there, and far away
SOFT = 32  # pixels from the edge that are far away
REFLECTIONS = 4  # passes of mirroring, each at most doubling the picture


def infill(pixels: Tensor, known: Tensor, method: Infill, seed: int) -> Tensor:
    """Return pixels (1, 3, H, W) whose unknown part is filled in; `known` (1, 1, H, W) is bool. Known ones stay.

    `noise` draws once, in the shape of the pixels, from the seed.
    """
    if bool(known.all()):
        return pixels
    if not bool(known.any()):
        return torch.zeros_like(pixels)
    match method:
        case Infill.BLUR:
            filled = spread(pixels, known.to(pixels.dtype))
        case Infill.EDGE:
            filled = _carried_on(pixels, known)
        case Infill.MIRROR:
            filled = _mirrored(pixels, known)
        case Infill.NOISE:
            filled = _noise(pixels, known, seed)
        case Infill.COLOUR:
            filled = _mean(pixels, known).expand_as(pixels)
        case _:
            assert_never(method)
    return torch.where(known, pixels, filled)


def spread(values: Tensor, weights: Tensor) -> Tensor:
    """Spread values (1, C, H, W) smoothly from where their weights (1, 1, H, W) are above 0 to where they are 0.

    A pyramid: averages of what is known, halved until everything is; then, level by level upwards, what is unknown is
    taken from below and relaxed against its neighbours while the known stays, so that no edge appears between them.
    """
    height, width = values.shape[2:]
    if bool((weights > 0).all()) or max(height, width) == 1:
        return values
    even = (0, width % 2, 0, height % 2)
    sums, counts = (F.avg_pool2d(F.pad(part, even), 2) for part in (values * weights, weights))
    below = spread(sums / counts.clamp(min=1e-12), counts.clamp(max=1.0) * (counts > 0))
    guess = F.interpolate(below, size=(height + height % 2, width + width % 2), mode="bilinear", align_corners=False)
    known = weights > 0
    filled = torch.where(known, values, guess[:, :, :height, :width])
    for _ in range(RELAXATIONS):
        filled = torch.where(known, values, mean_near(filled, 1, 1, "replicate"))
    return filled


def _carried_on(pixels: Tensor, known: Tensor) -> Tensor:
    """Repeat the colours at the edge of the known pixels, up and down and then sideways, softer farther away.

    So sky goes on above a sky, ground below the ground, and each at its height to the sides.
    """
    weights = known.to(pixels.dtype)
    near, far = (_repeated(_around(pixels, weights, *band), known) for band in BANDS)
    nearness = 2 * _around(weights, torch.ones_like(weights), SOFT, SOFT)  # 1 at a straight edge
    return torch.lerp(far, near, nearness.clamp(0, 1))


def _around(values: Tensor, weights: Tensor, rows: int, columns: int) -> Tensor:
    """The weighted mean of so many pixels each way around each place, 0 where nothing has weight."""
    sums, counts = (mean_near(part, rows, columns) for part in (values * weights, weights))
    return sums / counts.clamp(min=1e-6)


def _repeated(values: Tensor, known: Tensor) -> Tensor:
    """The value (1, C, H, W) at the nearest known pixel of the column; where it has none, of the nearest column."""
    for axis in (2, 3):
        length = known.shape[axis]
        places = torch.arange(length).view([-1 if each == axis else 1 for each in range(4)]).expand_as(known)
        before = torch.where(known, places, -2 * length).cummax(axis).values
        after = torch.where(known, places, 3 * length).flip(axis).cummin(axis).values.flip(axis)
        nearest = torch.where(places - before <= after - places, before, after).clamp(0, length - 1)
        values = values.gather(axis, nearest.expand_as(values))
        known = known.any(axis, keepdim=True).expand_as(known)
    return values


def _mirrored(pixels: Tensor, known: Tensor) -> Tensor:
    """Reflect each unknown pixel at the nearest edge of the known ones, again and again; then spread what is left."""
    for _ in range(REFLECTIONS):
        if bool(known.all()):
            return pixels
        reflected, found = _reflected(pixels, known)
        pixels, known = torch.where(known, pixels, reflected), known | found
    return spread(pixels, known.to(pixels.dtype))


def _reflected(pixels: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """What stands opposite each pixel, seen from its nearest known one, and whether that is known."""
    height, width = known.shape[2:]
    rows, columns = _nearest(known[0, 0])
    row = 2 * rows - torch.arange(height)[:, None]
    column = 2 * columns - torch.arange(width)[None, :]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
    return pixels[:, :, row, column], known[:, :, row, column] & inside


def _nearest(known: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of a nearest known pixel of each one, each (H, W): Danielsson's propagation by halving jumps."""
    height, width = known.shape
    here = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    far = 4 * max(height, width)
    best = torch.stack([torch.where(known, axis, torch.full_like(axis, -far)) for axis in here])
    jump = 1 << (max(height, width) - 1).bit_length()
    while jump:
        for dy in (-jump, 0, jump):
            for dx in (-jump, 0, jump):
                best = _nearer(best, _shifted(best, dy, dx, far), here)
        jump //= 2
    return best[0], best[1]


def _shifted(best: Tensor, dy: int, dx: int, far: int) -> Tensor:
    height, width = best.shape[1:]
    if abs(dy) >= height or abs(dx) >= width:
        return torch.full_like(best, -far)
    padded = F.pad(best, (max(-dx, 0), max(dx, 0), max(-dy, 0), max(dy, 0)), value=-far)
    return padded[:, max(dy, 0) : max(dy, 0) + height, max(dx, 0) : max(dx, 0) + width]


def _nearer(best: Tensor, other: Tensor, here: tuple[Tensor, ...]) -> Tensor:
    ours, theirs = (sum((place - axis) ** 2 for place, axis in zip(two, here, strict=True)) for two in (best, other))
    return torch.where(torch.as_tensor(theirs < ours), other, best)


def _noise(pixels: Tensor, known: Tensor, seed: int) -> Tensor:
    """Noise with the mean, and the covariance of the channels, of the known pixels."""
    colours = pixels[0][:, known[0, 0]].double()  # (3, n); in float32 a grey picture's covariance has no root
    centred = colours - colours.mean(1, keepdim=True)
    covariance = centred @ centred.T / colours.shape[1] + 1e-8 * torch.eye(len(colours), dtype=torch.float64)
    noise = NoiseSource(seed, tuple(pixels.shape))()
    mixed = torch.einsum("cd,bdhw->bchw", torch.linalg.cholesky(covariance).float(), noise)
    return (_mean(pixels, known) + mixed).clamp(-1, 1)


def _mean(pixels: Tensor, known: Tensor) -> Tensor:
    weights = known.to(pixels.dtype)
    return (pixels * weights).sum((2, 3), keepdim=True) / weights.sum()
