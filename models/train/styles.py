"""Styles that change the whole picture, and palettes by name. Knows pixels only.

All texture repeats every 32nd or 64th of a square picture's side, on the grid of the latents, in larger pictures as
well: it is the same in every latent, which an autoencoder keeps and a U-Net learns.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating]

PALETTES: dict[str, tuple[tuple[int, int, int], ...]] = {  # from dark to light
    "blue and gold": ((12, 24, 62), (34, 74, 138), (150, 152, 140), (244, 192, 84), (255, 238, 190)),
    "red and cream": ((48, 14, 24), (134, 28, 38), (208, 70, 56), (240, 176, 132), (252, 240, 216)),
    "purple and teal": ((32, 16, 56), (88, 44, 128), (70, 112, 160), (64, 178, 172), (214, 244, 228)),
    "green and ivory": ((14, 38, 32), (34, 92, 70), (102, 150, 98), (190, 204, 150), (250, 246, 226)),
    "pink and navy": ((16, 20, 56), (54, 50, 116), (160, 84, 148), (244, 142, 168), (255, 228, 226)),
    "sepia": ((40, 26, 18), (96, 66, 44), (160, 120, 82), (214, 182, 140), (248, 236, 212)),
}


def styled(pixels: Pixels, style: str | None, palette: str | None, size: int) -> Pixels:
    """Return a picture (H, W, 3) in a style and a palette; None leaves it as it is.

    `size` is the side in pixels of a square picture, by which textures are measured.
    """
    if palette is not None:
        pixels = _quantised(_toned(_luminance(_floats(pixels)), PALETTES[palette]))
    return pixels if style is None else STYLES[style](pixels, size)


def _floats(pixels: Pixels) -> Floats:
    return pixels.astype(np.float32) / 255


def _quantised(picture: Floats) -> Pixels:
    rounded: Pixels = (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return rounded


def _luminance(picture: Floats) -> Floats:
    light: Floats = picture @ np.array([0.3, 0.58, 0.12], dtype=np.float32)
    return light


def _toned(light: Floats, stops: tuple[tuple[int, int, int], ...]) -> Floats:
    """Map lightness 0..1 (H, W) to colours between `stops`."""
    places, table = np.linspace(0, 1, len(stops)), np.array(stops) / 255
    return np.stack([np.interp(light, places, table[:, i]) for i in range(3)], axis=2).astype(np.float32)


def _blurred(picture: Floats, times: int) -> Floats:
    """Soften with a small box, `times` over."""
    for _ in range(times):
        for axis in (0, 1):
            picture = (np.roll(picture, 1, axis) + picture + np.roll(picture, -1, axis)) / 3
    return picture


def _grid(pixels: Pixels, size: int, coarse: float = 32) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
    """Rows and columns within a texture's period, a `coarse`th of `size`; and the period in pixels."""
    period = max(2, round(size / coarse))
    y, x = np.indices((len(pixels), len(pixels[0])))
    return y % period, x % period, period


def _pastel(pixels: Pixels, _size: int) -> Pixels:
    picture = _floats(pixels)
    grey = _luminance(picture)[:, :, None]
    soft = grey + (picture - grey) * 0.75
    return _quantised(0.42 + 0.56 * soft + np.array([0.03, 0.0, 0.015], dtype=np.float32))


def _papercut(pixels: Pixels, size: int) -> Pixels:
    """Sheets of paper: few tones, and a soft shadow above each edge."""
    picture = _floats(pixels)
    flat = np.round(picture * 7) / 7
    reach = max(1, size // 42)
    below = np.roll(flat, -reach, axis=0)
    below[-reach:] = flat[-reach:]
    edge = (np.abs(below - flat).max(axis=2) > 0.1).astype(np.float32)
    shadow = _blurred(edge, 2)[:, :, None]
    return _quantised(flat * (1 - 0.42 * shadow) * 0.97 + 0.03)


def _woodcut(pixels: Pixels, size: int) -> Pixels:
    """Ink lines that swell with the dark, over muted colours on paper."""
    picture = _floats(pixels)
    light = _luminance(picture)
    row, _, period = _grid(pixels, size)
    ink = np.clip((1 - light**0.6) * 1.3 - 0.2, 0, 0.72) * period
    edge = np.clip(ink - np.abs(row - (period - 1) / 2) * 2 + 0.5, 0, 1)[:, :, None]
    paper = 0.34 + 0.7 * (light[:, :, None] * 0.35 + picture * 0.65) * np.array([1, 0.96, 0.86], dtype=np.float32)
    return _quantised(paper.clip(0, 1) * (1 - edge) + np.array([0.13, 0.1, 0.12], dtype=np.float32) * edge)


def _mezzotint(pixels: Pixels, size: int) -> Pixels:
    """A rocked plate: light scraped out of warm black, with a regular grain."""
    picture = _floats(pixels)
    light = _luminance(picture)
    row, column, period = _grid(pixels, size)
    grain = (((row * 5 + column * 3) % period) / period - 0.5).astype(np.float32)
    tone = np.clip(light**0.85 * 1.02 + grain * 0.3 * (1 - light), 0, 1)
    warm = _toned(tone, ((18, 14, 14), (70, 54, 46), (146, 122, 98), (214, 196, 164), (250, 240, 216)))
    return _quantised(warm * 0.82 + picture * 0.18)


def _risograph(pixels: Pixels, size: int) -> Pixels:
    """Three inks in dots, each a little off its place."""
    picture = _floats(pixels)
    row, column, period = _grid(pixels, size, 64)
    inks = ((2, (0.0, 0.0), (255, 226, 60)), (1, (0.5, 0.0), (255, 92, 116)), (0, (0.0, 0.5), (40, 96, 190)))
    page = np.full_like(picture, 1) * np.array([0.99, 0.97, 0.93], dtype=np.float32)
    for channel, (dy, dx), color in inks:
        coverage = 0.88 - 0.88 * np.roll(picture[:, :, channel], (channel, 1 - channel), (0, 1))
        y, x = ((row / period + dy) % 1 - 0.5, (column / period + dx) % 1 - 0.5)
        radius = np.sqrt(coverage.clip(0, 1)) * 0.72
        dot = np.clip((radius - np.hypot(y, x)) * period * 0.7 + 0.5, 0, 1)[:, :, None]
        page = page * (1 - dot * (1 - np.array(color, dtype=np.float32) / 255))
    return _quantised(page)


def _neon(pixels: Pixels, _size: int) -> Pixels:
    """Glowing outlines over a dark picture."""
    picture = _floats(pixels)
    across = np.abs(np.roll(picture, -1, 1) - np.roll(picture, 1, 1)).max(axis=2)
    down = np.abs(np.roll(picture, -1, 0) - np.roll(picture, 1, 0)).max(axis=2)
    across[:, [0, -1]], down[[0, -1]] = 0, 0
    line = np.clip((across + down) * 2.2 - 0.12, 0, 1)
    light = _luminance(_blurred(picture, 3))
    glow = _toned(light, ((90, 60, 255), (230, 50, 220), (255, 80, 140), (60, 230, 240), (190, 255, 220)))
    halo = _blurred(line, 6)
    dark = picture * 0.3 + np.array([0.03, 0.0, 0.08], dtype=np.float32)
    return _quantised(dark + glow * (0.95 * _blurred(line, 1) + 0.9 * halo)[:, :, None])


def _pixels(pixels: Pixels, size: int) -> Pixels:
    """Squares of few tones."""
    side = max(1, size // 64)
    height, width = (length // side for length in pixels.shape[:2])
    small = _floats(pixels).reshape(height, side, width, side, 3).mean(axis=(1, 3))
    return np.repeat(np.repeat(_quantised(np.round(small * 9) / 9), side, axis=0), side, axis=1)


STYLES: dict[str, Callable[[Pixels, int], Pixels]] = {
    "pastel": _pastel,
    "papercut": _papercut,
    "woodcut": _woodcut,
    "mezzotint": _mezzotint,
    "risograph": _risograph,
    "neon": _neon,
    "pixel art": _pixels,
}
