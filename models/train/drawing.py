"""Fills, gradients and polygons. All coordinates are fractions of the picture's side."""

from __future__ import annotations

from collections.abc import Sequence

import skia

Point = tuple[float, float]


def undistorted(canvas: skia.Canvas, x: float, y: float) -> skia.AutoCanvasRestore:
    """Let what is drawn around (x, y) keep its proportions, whatever those of the picture; until the `with` ends.

    Its size is then a fraction of the picture's shorter side.
    """
    restore = skia.AutoCanvasRestore(canvas)
    matrix = canvas.getTotalMatrix()
    side = min(matrix.getScaleX(), matrix.getScaleY())
    canvas.translate(x, y)
    canvas.scale(side / matrix.getScaleX(), side / matrix.getScaleY())
    canvas.translate(-x, -y)
    return restore


def fill(color: tuple[float, ...], alpha: float = 1.0) -> skia.Paint:
    return skia.Paint(AntiAlias=True, Color4f=skia.Color4f(*(c / 255 for c in color), alpha))


def gradient(top: float, bottom: float, colors: list[tuple[float, ...]]) -> skia.Paint:
    shades = [skia.Color(*(int(c) for c in color)) for color in colors]
    return skia.Paint(
        Shader=skia.GradientShader.MakeLinear(points=[skia.Point(0, top), skia.Point(0, bottom)], colors=shades)
    )


def polygon(canvas: skia.Canvas, points: Sequence[Point], paint: skia.Paint) -> None:
    path = skia.Path()
    path.addPoly([skia.Point(x, y) for x, y in points], True)
    canvas.drawPath(path, paint)
