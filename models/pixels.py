"""Decoded pixels as bytes, and what makes two pictures the same picture."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def to_rgb_bytes(pixels: Tensor) -> bytes:
    """Turn pixels (1, 3, H, W) of -1..1 into H * W * 3 bytes, rows from the top, rounded to the nearest 1/255.

    Values beyond the range are clipped and halves round to even, as in diffusers. Raises `FloatingPointError` for
    pixels that are not finite, which would otherwise be saved as black.
    """
    if pixels.ndim != 4 or pixels.shape[:2] != (1, 3):
        raise ValueError(f"pixels have the shape {tuple(pixels.shape)}; expected (1, 3, height, width)")
    pixels = pixels.detach().to("cpu", torch.float32)
    if not bool(pixels.isfinite().all()):
        raise FloatingPointError("the decoded picture holds values that are not finite; try dtype float32")
    levels = ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return levels[0].permute(1, 2, 0).contiguous().numpy().tobytes()


def pixel_sha256(rgb: bytes, width: int, height: int) -> str:
    """Return the SHA-256, in hex, of a picture's raw RGB bytes: equal for equal pixels, whatever the file's format."""
    if len(rgb) != width * height * 3:
        raise ValueError(f"{len(rgb)} bytes are not an RGB picture of {width} x {height}")
    return hashlib.sha256(rgb).hexdigest()
