"""Decoded pixels as bytes, and what makes two pictures the same picture."""

from __future__ import annotations

import hashlib
import io

import torch
from PIL import Image
from torch import Tensor

MAX_INPUT_PIXELS = 16_777_216


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


def from_rgb(levels: Tensor) -> Tensor:
    """Turn levels (H, W, 3) of 0..255 into pixels (1, 3, H, W) of -1..1; `to_rgb_bytes` gives the same levels back."""
    return (levels.to(torch.float32) / 127.5 - 1).permute(2, 0, 1)[None]


def decode_png(png: bytes) -> Tensor:
    """Decode a PNG to uint8 (H, W, channels): 1 channel for grey, 3 for colours, 4 where there is opacity.

    Raises `ValueError` for what is no PNG or has too many pixels.
    """
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if image.width * image.height > MAX_INPUT_PIXELS:
                raise ValueError(f"{image.width} x {image.height} is more than {MAX_INPUT_PIXELS:,} pixels")
            plain = _plain(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"this is not a PNG that can be read: {error}") from error
    levels = torch.frombuffer(bytearray(plain.tobytes()), dtype=torch.uint8)
    return levels.reshape(plain.height, plain.width, len(plain.getbands()))


def _plain(image: Image.Image) -> Image.Image:
    """Give an image of any mode the plainest of L, RGB and RGBA that keeps what can be seen."""
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode.startswith("I"):  # 16 bits a pixel
        return image.point(lambda level: level / 257).convert("L")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def pixel_sha256(rgb: bytes, width: int, height: int) -> str:
    """Return the SHA-256, in hex, of a picture's raw RGB bytes: equal for equal pixels, whatever the file's format."""
    if len(rgb) != width * height * 3:
        raise ValueError(f"{len(rgb)} bytes are not an RGB picture of {width} x {height}")
    return hashlib.sha256(rgb).hexdigest()
