"""A rough picture of latents without decoding them: a linear map from each latent to one colour or a few."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from models.calls import Backdrop

MAX_BACKDROP = 384  # pixels, each side

SD1_WEIGHT = (  # red, green, blue of each latent channel of Stable Diffusion 1 and 2, fitted by least squares
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
)


def preview(latents: Tensor, factors: Mapping[str, Any] | None) -> Tensor:
    """Project latents (1, C, h, w) linearly to colours (1, 3, p*h, p*w), clipped to -1..1.

    `factors` are the checkpoint's own: "weight", C rows of 3 * p * p, and "bias", 3 * p * p, whose values stand in the
    order of `torch.pixel_shuffle`; latents of many channels tell more than one colour each. Without factors p is 1,
    and four channels are taken for Stable Diffusion's; of any other number the first three are shown, each stretched
    to its range.
    """
    latents = latents.to(torch.float32)
    if factors is not None:
        return _project(latents, factors["weight"], factors["bias"])
    if latents.shape[1] == len(SD1_WEIGHT):
        return _project(latents, SD1_WEIGHT, (0.0, 0.0, 0.0))
    return _stretched(latents[:, :3] if latents.shape[1] >= 3 else latents[:, :1].expand(-1, 3, -1, -1))


def within(colours: Tensor, backdrop: Backdrop) -> Tensor:
    """Put a preview (1, 3, h, w) into its place in the picture that it is a part of, reduced to a preview's size."""
    left, top, width, height = backdrop.place
    shrink = math.ceil(max(backdrop.pixels.shape[2:]) / MAX_BACKDROP)
    picture = F.avg_pool2d(backdrop.pixels, shrink, ceil_mode=True)
    top, left, bottom, right = (round(side / shrink) for side in (top, left, top + height, left + width))
    size = (max(1, bottom - top), max(1, right - left))
    part = F.interpolate(colours, size=size, mode="bilinear", align_corners=False)
    place = picture[:, :, top : top + size[0], left : left + size[1]]
    place.copy_(part[:, :, : place.shape[2], : place.shape[3]])
    return picture


def _project(latents: Tensor, weight: Any, bias: Any) -> Tensor:
    projection, offset = latents.new_tensor(weight), latents.new_tensor(bias)  # (C, 3pp), (3pp,)
    patch = math.isqrt(len(offset) // 3)
    if 3 * patch**2 != len(offset) or projection.shape != (latents.shape[1], len(offset)):
        raise ValueError(
            f"preview weight and bias have the shapes {tuple(projection.shape)} and {tuple(offset.shape)}; latents of "
            f"{latents.shape[1]} channels need ({latents.shape[1]}, 3pp) and (3pp,) for some whole p"
        )
    colours = torch.einsum("bchw,cr->brhw", latents, projection) + offset.reshape(1, -1, 1, 1)
    return F.pixel_shuffle(colours, patch).clamp(-1, 1)


def _stretched(latents: Tensor) -> Tensor:
    low, high = latents.amin((2, 3), keepdim=True), latents.amax((2, 3), keepdim=True)
    return (latents - low) / (high - low).clamp(min=1e-6) * 2 - 1
