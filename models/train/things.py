"""The things that stand in front, drawn large enough to be named. Coordinates are fractions of the side."""

from __future__ import annotations

import math
from random import Random

import skia

from .artwork import sprite_of
from .drawing import undistorted
from .more_things import MORE
from .palette import Light
from .pen import LIT, Pen

SPRITE = 0.42  # side of a piece of artwork
BIRCH_LEAVES = {None: (236, 178, 56), "autumn": (222, 92, 42), "spring": (250, 184, 204)}  # blossom in spring


def draw_thing(
    canvas: skia.Canvas, thing: str, foot: tuple[float, float], scale: float, light: Light, rng: Random
) -> None:
    """Draw `thing` standing at `foot`."""
    with undistorted(canvas, *foot):
        canvas.translate(*foot)
        canvas.scale(scale, scale)
        if thing in DRAW:
            DRAW[thing](Pen(canvas, light), rng)
        else:
            _artwork(canvas, thing, light, rng)


def _artwork(canvas: skia.Canvas, noun: str, light: Light, rng: Random) -> None:
    """Draw a sprite in the scene's light; the same `rng` chooses the same artist."""
    red, green, blue = (0.25 + 0.75 * share for share in light.ambient)
    seen = [red, 0, 0, 0, 0, 0, green, 0, 0, 0, 0, 0, blue, 0, 0, 0, 0, 0, 1, 0]
    paint = skia.Paint(AntiAlias=True, ColorFilter=skia.ColorFilters.Matrix(seen))
    place = skia.Rect(-SPRITE / 2, 0.02 - SPRITE, SPRITE / 2, 0.02)
    smooth = skia.SamplingOptions(skia.CubicResampler.Mitchell())
    canvas.drawImageRect(sprite_of(noun, rng.randrange(64)), place, smooth, paint)


def _pines(pen: Pen, rng: Random) -> None:
    for dx, height in ((-0.12, 0.36), (0.12, 0.4), (0.0, 0.5)):
        h = height * rng.uniform(0.94, 1.06)
        pen.rect(dx - 0.014, -0.06, 0.028, 0.07, (96, 64, 44))
        for level in range(3):
            top, half = -h + level * h * 0.24, 0.055 + level * 0.022
            pen.polygon([(dx, top), (dx - half, top + h * 0.4), (dx + half, top + h * 0.4)], (30, 96 - level * 6, 68))


def _palms(pen: Pen, rng: Random) -> None:
    for lean, height in ((-0.09, 0.42), (0.1, 0.5)):
        h = height * rng.uniform(0.94, 1.06)
        trunk = [(lean * 0.3 + lean * t * t, -h * t) for t in (0, 0.25, 0.5, 0.75, 1)]
        pen.line(trunk, 0.024, (140, 100, 62))
        x, y = trunk[-1]
        for angle in (-160, -125, -90, -55, -20, 20, 160):
            a = math.radians(angle)
            tip = (x + 0.15 * math.cos(a), y + 0.1 * math.sin(a) + 0.05)
            knee = (x + 0.09 * math.cos(a), y + 0.09 * math.sin(a))
            pen.line([(x, y), knee, tip], 0.024, (44, 132, 66))


def _birches(pen: Pen, rng: Random) -> None:
    for dx, height in ((-0.13, 0.42), (0.0, 0.5), (0.13, 0.44)):
        h = height * rng.uniform(0.94, 1.06)
        pen.rect(dx - 0.018, -h * 0.75, 0.036, h * 0.75, (242, 240, 232))
        for mark in range(3):
            pen.rect(dx - 0.018, -h * 0.1 - mark * h * 0.14, 0.022, 0.018, (50, 48, 50))
        pen.oval(dx, -h * 0.72, 0.062, h * 0.28, BIRCH_LEAVES[pen.light.season])


def _cabin(pen: Pen, _: Random) -> None:
    pen.rect(0.08, -0.34, 0.045, 0.12, (110, 84, 78))
    pen.rect(-0.16, -0.19, 0.32, 0.2, (172, 92, 58))
    pen.polygon([(-0.21, -0.18), (0.0, -0.36), (0.21, -0.18)], (98, 46, 40))
    pen.rect(-0.03, -0.12, 0.07, 0.13, (84, 50, 38))
    for x in (-0.125, 0.075):
        pen.window(x, -0.14, 0.06, 0.06)


def _lighthouse(pen: Pen, rng: Random) -> None:
    h = 0.52 * rng.uniform(0.94, 1.04)
    pen.oval(0, 0.01, 0.13, 0.035, (104, 98, 98))
    for stripe in range(5):
        low, high = stripe / 5, (stripe + 1) / 5
        wl, wh = 0.066 - 0.024 * low, 0.066 - 0.024 * high
        color = (214, 58, 52) if stripe % 2 == 0 else (248, 246, 240)
        pen.polygon([(-wl, -h * low), (wl, -h * low), (wh, -h * high), (-wh, -h * high)], color)
    pen.rect(-0.052, -h - 0.012, 0.104, 0.016, (60, 58, 66))
    pen.rect(-0.03, -h - 0.062, 0.06, 0.05, LIT, glow=True)
    pen.polygon([(-0.042, -h - 0.06), (0, -h - 0.105), (0.042, -h - 0.06)], (150, 40, 40))


def _sailboat(pen: Pen, _: Random) -> None:
    pen.rect(-0.006, -0.4, 0.012, 0.37, (92, 66, 50))
    pen.polygon([(0.012, -0.39), (0.012, -0.075), (0.17, -0.075)], (252, 250, 244))
    pen.polygon([(-0.014, -0.34), (-0.014, -0.075), (-0.13, -0.075)], (240, 120, 84))
    pen.polygon([(-0.17, -0.055), (0.19, -0.055), (0.13, 0.02), (-0.12, 0.02)], (150, 62, 50))


def _cactus(pen: Pen, rng: Random) -> None:
    h, green = 0.46 * rng.uniform(0.92, 1.06), (52, 142, 78)
    pen.line([(0, 0), (0, -h)], 0.085, green)
    pen.line([(0, -h * 0.35), (-0.12, -h * 0.35), (-0.12, -h * 0.72)], 0.055, green)
    pen.line([(0, -h * 0.5), (0.12, -h * 0.5), (0.12, -h * 0.85)], 0.055, green)


def _tent(pen: Pen, _: Random) -> None:
    pen.polygon([(-0.2, 0.01), (0.02, -0.27), (0.2, 0.01)], (240, 126, 44))
    pen.polygon([(0.02, -0.27), (0.2, 0.01), (0.25, -0.02)], (196, 86, 34))
    pen.polygon([(-0.06, 0.01), (0.01, -0.16), (0.075, 0.01)], LIT if pen.dark else (92, 48, 36), glow=pen.dark)


def _windmill(pen: Pen, rng: Random) -> None:
    pen.polygon([(-0.095, 0.01), (0.095, 0.01), (0.058, -0.34), (-0.058, -0.34)], (246, 238, 222))
    pen.polygon([(-0.068, -0.335), (0, -0.42), (0.068, -0.335)], (164, 62, 48))
    pen.rect(-0.026, -0.1, 0.052, 0.11, (104, 66, 48))
    turn = rng.uniform(20, 70)
    for blade in range(4):
        a = math.radians(turn + 90 * blade)
        dx, dy = math.cos(a), math.sin(a)
        nx, ny = -dy * 0.026, dx * 0.026
        root, tip = (dx * 0.03, -0.33 + dy * 0.03), (dx * 0.23, -0.33 + dy * 0.23)
        blades = [(root[0] - nx, root[1] - ny), (tip[0] - nx, tip[1] - ny), (tip[0] + nx, tip[1] + ny)]
        pen.polygon([*blades, (root[0] + nx, root[1] + ny)], (120, 82, 62))


DRAW = {
    "pine trees": _pines,
    "palm trees": _palms,
    "birch trees": _birches,
    "cabin": _cabin,
    "lighthouse": _lighthouse,
    "sailboat": _sailboat,
    "cactus": _cactus,
    "tent": _tent,
    "windmill": _windmill,
    **MORE,
}
