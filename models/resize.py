"""Pictures and masks at another size, as tensors. Knows what lies at which pixel and nothing of networks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LOBES = 3  # of Lanczos' window


def lanczos(pixels: Tensor, height: int, width: int) -> Tensor:
    """Resample pixels (1, C, H, W) with Lanczos' windowed sinc, widened where it reduces, as Pillow does."""
    if pixels.shape[2] != height:
        pixels = torch.einsum("bchw,vh->bcvw", pixels, _weights(pixels.shape[2], height))
    if pixels.shape[3] != width:
        pixels = torch.einsum("bchw,vw->bchv", pixels, _weights(pixels.shape[3], width))
    return pixels


def largest(mask: Tensor, height: int, width: int) -> Tensor:
    """Resample a mask (1, 1, H, W): each new pixel is the largest of those that it touches, so that none is lost."""
    return F.adaptive_max_pool2d(mask, (height, width))


def extend(pixels: Tensor, factor: int) -> Tensor:
    """Repeat the last row and column (1, C, H, W) until both sides are multiples of `factor`."""
    height, width = pixels.shape[2:]
    return F.pad(pixels, (0, -width % factor, 0, -height % factor), mode="replicate")


def _weights(before: int, after: int) -> Tensor:
    """The share (after, before) of each old sample in each new one."""
    scale = before / after
    support = max(scale, 1.0)
    centres = (torch.arange(after, dtype=torch.float64) + 0.5) * scale
    offsets = (torch.arange(before, dtype=torch.float64) + 0.5 - centres[:, None]) / support
    weights = torch.sinc(offsets) * torch.sinc(offsets / LOBES) * (offsets.abs() < LOBES)
    return (weights / weights.sum(1, keepdim=True)).to(torch.float32)
