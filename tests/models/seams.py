"""How much of a seam there is where a part of a picture was painted anew."""

from __future__ import annotations

import torch
from torch import Tensor

from models.masks import distance

RING = 16  # pixels


def colour_step(picture: Tensor, original: Tensor, region: Tensor) -> float:
    """The mean colour of a ring inside the rim less that of a ring outside, beyond what the original has there.

    The largest of the three channels, in levels of 255. Pictures are (1, 3, H, W) of -1..1, `region` is bool.
    """
    inside = region & (distance(~region, RING) <= RING)
    outside = ~region & (distance(region, RING) <= RING)
    steps = [_mean(each, inside) - _mean(each, outside) for each in (picture, original)]
    return float((steps[0] - steps[1]).abs().max()) * 127.5


def across_and_along(picture: Tensor, box: tuple[int, int, int, int], width: int) -> tuple[float, float]:
    """The energy of the gradients across and along the rim of a box (left, top, right, bottom), `width` px inwards.

    Every side is measured by itself, up to the corners, and counts the same; one on the picture's own edge does not.
    """
    left, top, right, bottom = box
    rows, columns = picture.diff(dim=2).square(), picture.diff(dim=3).square()
    across, along = [], []
    for begin, end in _sides(left, right, width, picture.shape[3]):
        across.append(columns[:, :, top:bottom, begin:end].mean())
        along.append(rows[:, :, top : bottom - 1, begin : end + 1].mean())
    for begin, end in _sides(top, bottom, width, picture.shape[2]):
        across.append(rows[:, :, begin:end, left:right].mean())
        along.append(columns[:, :, begin : end + 1, left : right - 1].mean())
    return float(torch.stack(across).mean()), float(torch.stack(along).mean())


def disc(middle: tuple[int, int], radius: int, side: int) -> Tensor:
    """A circle around a place (column, row) in a square of pixels, (1, 1, side, side) bool."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return ((columns - middle[0]) ** 2 + (rows - middle[1]) ** 2 <= radius**2)[None, None]


def _sides(first: int, last: int, width: int, limit: int) -> list[tuple[int, int]]:
    """Begin and end of the differences of neighbours along an axis that lie across its two rims, `width` of each."""
    return [(first - 1, first - 1 + width)] * (first > 0) + [(last - width, last)] * (last < limit)


def _mean(picture: Tensor, where: Tensor) -> Tensor:
    return (picture * where).sum((2, 3)) / where.sum()
