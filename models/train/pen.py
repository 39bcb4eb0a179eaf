"""A canvas for the things in front, whose colours are seen in the scene's light."""

from __future__ import annotations

import skia

from .palette import Color, Light, seasonal

LIT = (255, 214, 110)


class Pen:
    """A canvas whose colours are seen in the scene's light; things in front keep some colour even at night."""

    def __init__(self, canvas: skia.Canvas, light: Light) -> None:
        self.canvas, self.light = canvas, light
        self.dark = light.ambient[0] < 0.6

    def paint(self, color: tuple[float, ...], glow: bool = False) -> skia.Paint:
        seen = color if glow else self._seen(color)
        return skia.Paint(AntiAlias=True, Color4f=skia.Color4f(*(c / 255 for c in seen), 1))

    def _seen(self, color: tuple[float, ...]) -> Color:
        r, g, b = (c * (0.25 + 0.75 * a) for c, a in zip(color, self.light.ambient, strict=True))
        return r, g, b

    def polygon(self, points: list[tuple[float, float]], color: tuple[float, ...], glow: bool = False) -> None:
        path = skia.Path()
        path.addPoly([skia.Point(x, y) for x, y in points], True)
        self.canvas.drawPath(path, self.paint(color, glow))

    def rect(self, x: float, y: float, w: float, h: float, color: tuple[float, ...], glow: bool = False) -> None:
        self.canvas.drawRect(skia.Rect(x, y, x + w, y + h), self.paint(color, glow))

    def oval(self, x: float, y: float, rx: float, ry: float, color: tuple[float, ...]) -> None:
        self.canvas.drawOval(skia.Rect(x - rx, y - ry, x + rx, y + ry), self.paint(color))

    def line(self, points: list[tuple[float, float]], width: float, color: tuple[float, ...]) -> None:
        paint = self.paint(color)
        paint.setStyle(skia.Paint.kStroke_Style)
        paint.setStrokeWidth(width)
        paint.setStrokeCap(skia.Paint.kRound_Cap)
        paint.setStrokeJoin(skia.Paint.kRound_Join)
        path = skia.Path()
        path.addPoly([skia.Point(x, y) for x, y in points], False)
        self.canvas.drawPath(path, paint)

    def window(self, x: float, y: float, w: float, h: float) -> None:
        self.rect(x, y, w, h, LIT if self.dark else (150, 200, 226), glow=self.dark)

    def leaves(self, color: tuple[float, ...]) -> Color:
        """Return the colour that leaves have in the scene's season."""
        return seasonal(color, self.light.season)
