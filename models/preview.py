"""A rough picture of latents without decoding them: one colour a latent pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

SD1_WEIGHT = (  # red, green, blue of each latent channel of Stable Diffusion 1 and 2, fitted by least squares
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
)


def preview(latents: Tensor, factors: Mapping[str, Any] | None) -> Tensor:
    """Project latents (1, C, h, w) linearly to colours (1, 3, h, w), clipped to -1..1.

    `factors` are the checkpoint's own, {"weight": C rows of 3, "bias": 3}. Without them four channels are taken for
    Stable Diffusion's; of any other number the first three are shown, each stretched to its range.
    """
    latents = latents.to(torch.float32)
    if factors is not None:
        return _project(latents, factors["weight"], factors["bias"])
    if latents.shape[1] == len(SD1_WEIGHT):
        return _project(latents, SD1_WEIGHT, (0.0, 0.0, 0.0))
    return _stretched(latents[:, :3] if latents.shape[1] >= 3 else latents[:, :1].expand(-1, 3, -1, -1))


def _project(latents: Tensor, weight: Any, bias: Any) -> Tensor:
    projection = latents.new_tensor(weight)  # (C, 3)
    if projection.shape != (latents.shape[1], 3):
        raise ValueError(
            f"preview weight has the shape {tuple(projection.shape)}; latents of {latents.shape[1]} channels need "
            f"({latents.shape[1]}, 3)"
        )
    colours = torch.einsum("bchw,cr->brhw", latents, projection)
    return (colours + latents.new_tensor(bias).reshape(1, 3, 1, 1)).clamp(-1, 1)


def _stretched(latents: Tensor) -> Tensor:
    low, high = latents.amin((2, 3), keepdim=True), latents.amax((2, 3), keepdim=True)
    return (latents - low) / (high - low).clamp(min=1e-6) * 2 - 1
