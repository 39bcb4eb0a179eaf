"""Enlarging a finished picture: by Lanczos, by nearest neighbour, or by drawing it anew with the model."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageOps

from app.services.errors import InvalidInput

MAX_PIXELS = 16_800_000
LANCZOS, NEAREST, REDRAWN, NONE = "Lanczos", "Nearest", "Mezzotint img2img", "None"
UPSCALERS = (NONE, LANCZOS, NEAREST, REDRAWN)
FILTERS = {
    NONE: Image.Resampling.LANCZOS,
    LANCZOS: Image.Resampling.LANCZOS,
    NEAREST: Image.Resampling.NEAREST,
    REDRAWN: Image.Resampling.LANCZOS,
}
REDRAW_STRENGTH = 0.3  # enough for detail, too little for another picture


@dataclass(frozen=True, slots=True)
class Enlargement:
    """To `factor` times the size, or to `size`, cropped to it around the middle or (`crop` off) at least as large."""

    upscaler: str
    factor: float | None = None
    size: tuple[int, int] | None = None
    crop: bool = True


def upscaler_of(name: str | None, field: str) -> str:
    """Return the upscaler of this name, whatever its case. Raises `InvalidInput` with the names that there are."""
    for known in UPSCALERS:
        if (name or NONE).strip().lower() == known.lower():
            return known
    message = f"Upscaler not found: {name!r}; there is: {', '.join(UPSCALERS)}."
    raise InvalidInput([{"field": field, "message": message}])


def enlarged(picture: Image.Image, wanted: Enlargement) -> Image.Image:
    """Return the picture at its new size. Raises `InvalidInput` where that would be too large."""
    chosen = FILTERS[wanted.upscaler]
    if wanted.size is None:
        factor = wanted.factor or 1.0
        return picture.resize(_bounded(round(picture.width * factor), round(picture.height * factor)), chosen)
    size = _bounded(*wanted.size)
    if wanted.crop:
        return ImageOps.fit(picture, size, chosen)
    factor = max(size[0] / picture.width, size[1] / picture.height)
    return picture.resize(_bounded(round(picture.width * factor), round(picture.height * factor)), chosen)


def _bounded(width: int, height: int) -> tuple[int, int]:
    if width * height > MAX_PIXELS:
        message = f"{width}x{height} is larger than {MAX_PIXELS / 1e6:.1f} million pixels; enlarge it less."
        raise InvalidInput([{"field": "upscaling_resize", "message": message}])
    return max(1, width), max(1, height)
