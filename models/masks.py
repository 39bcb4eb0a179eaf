"""Where a picture is repainted: masks (1, 1, H, W) of 0 (keep) to 1 (repaint). Knows no colours and no network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models.windows import largest_near


def distance(region: Tensor, limit: int) -> Tensor:
    """The Euclidean distance in pixels of each pixel to the nearest one of `region` (bool); `limit + 1` where farther.

    Exact: the nearest in its row, then, over the rows up to `limit` away, the least sum of squares.
    """
    beyond = float(limit + 1)
    along = _along_rows(region, beyond).square()
    nearest = along
    padded = F.pad(along, (0, 0, limit, limit), value=beyond**2)
    for row in range(2 * limit + 1):
        nearest = torch.minimum(nearest, padded[:, :, row : row + region.shape[2]] + (row - limit) ** 2)
    return nearest.clamp(max=beyond**2).sqrt()


def grown(mask: Tensor, pixels: int) -> Tensor:
    """Grow a mask by so many pixels in every direction; the margin has the largest value of its neighbourhood."""
    region = mask > 0
    if pixels == 0 or not bool(region.any()):
        return mask
    return torch.where(region, mask, largest_near(mask, pixels) * (distance(region, pixels) <= pixels))


def ramp(region: Tensor, width: int, *, whole: Tensor) -> Tensor:
    """Rise smoothly from 0 outside `region` to 1 inside it, over `width` pixels that all lie in the region.

    `whole` (bool, within the region) is 1 whatever the width. The picture's own edge is no edge of the region.
    """
    inwards = distance(~region, width)
    reach = torch.full_like(inwards, width + 1.0)
    if bool(whole.any()):
        reach = torch.minimum(reach, inwards + distance(whole, width))
    return torch.where(whole, torch.ones_like(reach), rise(inwards / reach))


def rise(share: Tensor) -> Tensor:
    """Rise smoothly from 0 at a share of 0 and less to 1 at 1 and more."""
    share = share.clamp(0, 1)
    return share * share * (3 - 2 * share)


def cells(mask: Tensor, factor: int) -> Tensor:
    """The mask of latents that stand for `factor` pixels each way: the largest value in each cell."""
    return F.max_pool2d(mask, factor)


def _along_rows(region: Tensor, beyond: float) -> Tensor:
    """The distance of each pixel to the nearest one of the region in its row, at most `beyond`."""
    columns = torch.arange(region.shape[3], dtype=torch.float32).expand_as(region)
    none = torch.full_like(columns, -torch.inf)
    before = torch.where(region, columns, none).cummax(3).values
    after = torch.where(region, -columns, none).flip(3).cummax(3).values.flip(3).neg()
    return torch.minimum(columns - before, after - columns).clamp(max=beyond)
