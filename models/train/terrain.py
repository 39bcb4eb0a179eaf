"""What stands in the distance. All coordinates are fractions of the picture's side."""

from __future__ import annotations

import math
from random import Random

import skia

from .drawing import fill, polygon
from .palette import Light, shade
from .scene import Scene

SHADOW = fill((20, 20, 40), 0.16)


def _ridge(rng: Random, peaks: int, low: float, high: float, base: float) -> list[tuple[float, float]]:
    xs = [(i + rng.uniform(0.25, 0.75)) / peaks for i in range(peaks)]
    points = [(-0.25, base)]
    for x in xs:
        points += [(x, base - rng.uniform(low, high)), (x + 0.5 / peaks, base - rng.uniform(0.02, low * 0.5))]
    return [*points, (1.25, base)]


def draw_terrain(canvas: skia.Canvas, scene: Scene, light: Light, horizon: float, rng: Random) -> None:
    match scene.terrain:
        case "mountains" | "snowy mountains":
            _mountains(canvas, light, horizon, rng, snowy=scene.terrain == "snowy mountains")
        case "hills" | "dunes":
            _swells(canvas, light, horizon, rng, (96, 156, 84) if scene.terrain == "hills" else (236, 196, 116))
        case "city":
            _city(canvas, scene, light, horizon, rng)
        case "islands":
            _islands(canvas, light, horizon, rng)
        case "forest":
            _forest(canvas, light, horizon, rng)
        case "volcano":
            _volcano(canvas, light, horizon, rng)
        case "canyon":
            _canyon(canvas, light, horizon, rng)
        case "pyramids":
            _pyramids(canvas, light, horizon, rng)
        case _:
            _village(canvas, scene, light, horizon, rng)


def _mountains(canvas: skia.Canvas, light: Light, horizon: float, rng: Random, *, snowy: bool) -> None:
    for depth, peaks, low, high in ((0.55, 3, 0.16, 0.28), (0.2, 2, 0.14, 0.36)):
        ridge = _ridge(rng, peaks, low, high, horizon)
        polygon(canvas, ridge, fill(shade((98, 104, 128), light, depth)))
        for i in range(1, len(ridge) - 1, 2):
            (ax, ay), (bx, by), (cx, cy) = ridge[i - 1], ridge[i], ridge[i + 1]
            polygon(canvas, [(bx, by), (cx, cy), (bx + (cx - bx) * 0.1, horizon)], fill((20, 20, 40), 0.14))
            if snowy:
                left = (bx + (ax - bx) * 0.42, by + (ay - by) * 0.42)
                right = (bx + (cx - bx) * 0.42, by + (cy - by) * 0.42)
                notch = (bx, by + (max(ay, cy) - by) * 0.28)
                polygon(canvas, [(bx, by), right, notch, left], fill(shade((250, 252, 255), light, depth * 0.4)))


def _swells(canvas: skia.Canvas, light: Light, horizon: float, rng: Random, color: tuple[int, int, int]) -> None:
    for depth, height in ((0.55, 0.15), (0.25, 0.08)):
        phase, wave = rng.uniform(0, 6.3), rng.uniform(4.5, 7)
        top = [(i / 40, horizon - height * (0.75 + 0.45 * math.sin(phase + wave * i / 40))) for i in range(-1, 42)]
        polygon(canvas, [(-0.1, horizon + 0.01), *top, (1.1, horizon + 0.01)], fill(shade(color, light, depth)))


def _city(canvas: skia.Canvas, scene: Scene, light: Light, horizon: float, rng: Random) -> None:
    lit = scene.time in ("dusk", "night")
    for depth, low, high in ((0.5, 0.14, 0.32), (0.15, 0.08, 0.24)):
        x = -rng.uniform(0, 0.06)
        while x < 1:
            w, h = rng.uniform(0.085, 0.13), rng.uniform(low, high)
            canvas.drawRect(skia.Rect(x, horizon - h, x + w, horizon), fill(shade((88, 92, 116), light, depth)))
            if depth < 0.3:
                _windows(canvas, x, horizon - h, w, horizon, lit, rng)
            x += w + (rng.uniform(0, 0.02) if depth < 0.3 else 0)


def _windows(canvas: skia.Canvas, x: float, top: float, w: float, bottom: float, lit: bool, rng: Random) -> None:
    paint = fill((255, 214, 110), 0.95) if lit else fill((235, 242, 250), 0.45)
    y = top + 0.025
    while y < bottom - 0.035:
        for column in (0.14, 0.56):
            if rng.random() < 0.5:
                canvas.drawRect(skia.Rect(x + w * column, y, x + w * (column + 0.3), y + 0.03), paint)
        y += 0.062


def _islands(canvas: skia.Canvas, light: Light, horizon: float, rng: Random) -> None:
    for center in (rng.uniform(0.1, 0.3), rng.uniform(0.65, 0.9)):
        w, h = rng.uniform(0.3, 0.42), rng.uniform(0.07, 0.11)
        island, peak = skia.Path(), center + w * rng.uniform(-0.15, 0.15)
        island.addOval(skia.Rect(center - w / 2, horizon - h, center + w / 2, horizon + h))
        island.addOval(skia.Rect(peak - w / 5, horizon - h * 1.6, peak + w / 5, horizon + h))
        canvas.save()
        canvas.clipRect(skia.Rect(0, 0, 1, horizon + 0.012))
        canvas.drawPath(island, fill(shade((78, 132, 92), light, 0.25)))
        canvas.restore()


def _forest(canvas: skia.Canvas, light: Light, horizon: float, rng: Random) -> None:
    for depth, low, high, width in ((0.6, 0.2, 0.3, 0.055), (0.35, 0.14, 0.22, 0.07), (0.1, 0.08, 0.16, 0.085)):
        x = rng.uniform(-0.05, 0)
        paint = fill(shade((44, 104, 76), light, depth))
        canvas.drawRect(skia.Rect(0, horizon - low * 0.5, 1, horizon + 0.01), paint)
        while x < 1.05:
            h, half = rng.uniform(low, high), width * rng.uniform(0.45, 0.6)
            for share in (1.0, 0.66):
                polygon(canvas, [(x, horizon - h * share), (x - half, horizon), (x + half, horizon)], paint)
            x += width * rng.uniform(0.6, 0.95)


def _volcano(canvas: skia.Canvas, light: Light, horizon: float, rng: Random) -> None:
    x, top, rim = rng.uniform(0.35, 0.65), horizon - rng.uniform(0.32, 0.38), 0.055
    drift = rng.choice((-1, 1))
    for i in range(5):
        puff = (x + drift * 0.035 * i * i * 0.55, top - 0.02 - 0.05 * i)
        canvas.drawCircle(*puff, 0.035 + 0.014 * i, fill(shade((150, 140, 146), light, 0.25), 0.8))
    _swells(canvas, light, horizon, rng, (96, 116, 92))
    slope = [(x - 0.42, horizon), (x - 0.16, top + 0.17), (x - rim, top), (x + rim, top), (x + 0.16, top + 0.17)]
    polygon(canvas, [*slope, (x + 0.42, horizon)], fill(shade((98, 74, 78), light, 0.15)))
    polygon(canvas, [(x + rim * 0.2, top), (x + rim, top), (x + 0.16, top + 0.17), (x + 0.42, horizon)], SHADOW)
    glow = fill((255, 120, 40))
    polygon(canvas, [(x - rim, top), (x + rim, top), (x + rim * 0.6, top + 0.022), (x - rim * 0.6, top + 0.022)], glow)
    for lean, length in ((-0.5, 0.17), (0.25, 0.12)):
        foot = x + lean * length
        polygon(canvas, [(x + lean * 0.05, top), (x + lean * 0.05 + 0.02, top), (foot + 0.012, top + length)], glow)


def _canyon(canvas: skia.Canvas, light: Light, horizon: float, rng: Random) -> None:
    for depth, count, low, high in ((0.5, 3, 0.18, 0.28), (0.1, 2, 0.12, 0.26)):
        for i in range(count):
            x, w = (i + rng.uniform(0.2, 0.8)) / count, rng.uniform(0.2, 0.34) * 2 / count
            top = horizon - rng.uniform(low, high)
            sides = [(x - w * 0.62, horizon), (x - w * 0.5, top), (x + w * 0.5, top), (x + w * 0.62, horizon)]
            polygon(canvas, sides, fill(shade((206, 98, 60), light, depth)))
            for share, color in ((0.3, (232, 142, 88)), (0.62, (176, 74, 52))):
                y, half = top + (horizon - top) * share, w * (0.5 + 0.12 * share)
                canvas.drawRect(skia.Rect(x - half, y, x + half, y + 0.024), fill(shade(color, light, depth)))
            polygon(
                canvas,
                [(x + w * 0.22, top), (x + w * 0.5, top), (x + w * 0.62, horizon), (x + w * 0.3, horizon)],
                SHADOW,
            )


def _pyramids(canvas: skia.Canvas, light: Light, horizon: float, rng: Random) -> None:
    places = [(rng.uniform(0.1, 0.25), 0.2), (rng.uniform(0.42, 0.58), 0.33), (rng.uniform(0.75, 0.9), 0.25)]
    for depth, (x, h) in zip((0.35, 0.1, 0.25), places, strict=True):
        half, edge = h * 0.82, x + h * rng.uniform(0.1, 0.2)
        polygon(
            canvas, [(x - half, horizon), (x, horizon - h), (edge, horizon)], fill(shade((240, 200, 124), light, depth))
        )
        polygon(
            canvas, [(edge, horizon), (x, horizon - h), (x + half, horizon)], fill(shade((196, 150, 88), light, depth))
        )


def _village(canvas: skia.Canvas, scene: Scene, light: Light, horizon: float, rng: Random) -> None:
    _swells(canvas, light, horizon, rng, (96, 156, 84))
    walls, roofs = ((240, 222, 190), (226, 178, 140), (214, 202, 206)), ((184, 76, 58), (140, 70, 66), (106, 84, 100))
    lit = scene.time in ("dusk", "night")
    x, tower = rng.uniform(-0.06, 0), rng.randint(2, 5)
    for number in range(9):
        w, h = rng.uniform(0.1, 0.13), rng.uniform(0.075, 0.11)
        wall, roof = fill(shade(rng.choice(walls), light, 0.1)), fill(shade(rng.choice(roofs), light, 0.1))
        top = horizon - h
        canvas.drawRect(skia.Rect(x, top, x + w, horizon + 0.005), wall)
        polygon(canvas, [(x - 0.012, top), (x + w / 2, top - h * 0.7), (x + w + 0.012, top)], roof)
        if number == tower:
            canvas.drawRect(skia.Rect(x + w * 0.3, top - 0.14, x + w * 0.7, horizon), wall)
            polygon(canvas, [(x + w * 0.24, top - 0.14), (x + w / 2, top - 0.25), (x + w * 0.76, top - 0.14)], roof)
        _windows(canvas, x, top, w, horizon, lit, rng)
        x += w + rng.uniform(0.004, 0.03)
