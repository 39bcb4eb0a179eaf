"""Rendered pictures by number: picture `i` is always the same, so that nothing needs to be stored."""

from __future__ import annotations

from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .render import SQUARE, Shape, render
from .scene import FIRST_WORLD, Scene, World, sample_scene

IMAGE_SIZE = 256
HELD_OUT = 1_000_000_000  # numbers from here on are never trained on


def scene_of(number: int, world: World = FIRST_WORLD) -> Scene:
    return sample_scene(Random(number), world)


def picture_of(
    number: int, size: int = IMAGE_SIZE, world: World = FIRST_WORLD, shape: Shape = SQUARE
) -> NDArray[np.uint8]:
    """Render picture `number` as (H, W, 3) uint8; H and W are `size` times the two of `shape`."""
    return render(scene_of(number, world), Random(number + 1), size, shape)


def to_pixels(pictures: NDArray[np.uint8] | Tensor) -> Tensor:
    """Turn (B, H, W, 3) uint8 into (B, 3, H, W) float32 in -1..1, on the device where they are."""
    return torch.as_tensor(pictures).permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()


def to_picture(pixels: Tensor) -> NDArray[np.uint8]:
    """Turn (B, 3, H, W) in -1..1 into (B, H, W, 3) uint8."""
    scaled = pixels.detach().float().clamp(-1, 1).add(1).mul(127.5).round()
    array: NDArray[np.uint8] = scaled.byte().permute(0, 2, 3, 1).contiguous().numpy()
    return array
