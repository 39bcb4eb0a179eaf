"""What lies in front of the horizon: water and fields. All coordinates are fractions of the picture's side."""

from __future__ import annotations

import math
from random import Random

import skia

from .drawing import fill, gradient, polygon
from .palette import Light, mix, shade
from .scene import WATER, Scene
from .terrain import draw_terrain

BASES = {
    "desert": (236, 192, 118),
    "snow": (240, 244, 252),
    "vineyard": (150, 170, 84),
    "wheat": (238, 198, 98),
    "savanna": (224, 186, 98),
}


def draw_ground(
    canvas: skia.Canvas,
    scene: Scene,
    light: Light,
    horizon: float,
    seed: int,
    luminary: tuple[float, float, float] | None,
    rng: Random,
) -> None:
    if scene.ground in WATER:
        _water(canvas, scene, light, horizon, seed, luminary, rng)
        return
    base = BASES.get(scene.ground, (112, 172, 82))
    near, far = shade(base, light, 0), shade(base, light, 0.3)
    canvas.drawRect(skia.Rect(0, horizon, 1, 1), gradient(horizon, 1, [far, near]))
    if scene.ground == "river":
        _river(canvas, light, horizon, rng)
    if scene.ground == "flowers":
        _flowers(canvas, light, horizon, rng)
    if scene.ground == "vineyard":
        _rows(canvas, light, horizon, (70, 120, 62), rng)
    if scene.ground == "wheat":
        _rows(canvas, light, horizon, (206, 156, 62), rng)
    if scene.ground == "savanna":
        _savanna(canvas, light, horizon, rng)
    if scene.ground in ("desert", "snow"):
        y = horizon + rng.uniform(0.12, 0.2)
        curve = [(i / 20, y + 0.03 * math.sin(i / 20 * 5 + seed % 7)) for i in range(21)]
        polygon(canvas, [(0, 1), *curve, (1, 1)], fill(shade(tuple(c * 0.93 for c in base), light, 0)))


def _water(
    canvas: skia.Canvas,
    scene: Scene,
    light: Light,
    horizon: float,
    seed: int,
    luminary: tuple[float, float, float] | None,
    rng: Random,
) -> None:
    far, near = mix(light.sky[-1], light.water, 0.45), light.water
    canvas.drawRect(skia.Rect(0, horizon, 1, 1), gradient(horizon, 1, [far, near]))
    if scene.ground == "lake":
        canvas.save()
        canvas.clipRect(skia.Rect(0, horizon, 1, 1))
        canvas.translate(0, 2 * horizon)
        canvas.scale(1, -1)
        canvas.saveLayerAlpha(skia.Rect(0, 0, 1, horizon), 90)
        draw_terrain(canvas, scene, light, horizon, Random(seed))
        canvas.restore()
        canvas.restore()
    else:
        for i in range(5):
            y = horizon + 0.05 + 0.06 * i
            x, w = rng.random(), rng.uniform(0.12, 0.3)
            wave = skia.RRect.MakeRectXY(skia.Rect(x - w / 2, y, x + w / 2, y + 0.01), 0.005, 0.005)
            canvas.drawRRect(wave, fill(mix(light.sky[-1], (255, 255, 255), 0.5), 0.4))
    if luminary:
        for i in range(5):
            y, w = horizon + 0.03 + 0.05 * i, 0.07 + 0.02 * i
            dash = skia.RRect.MakeRectXY(skia.Rect(luminary[0] - w, y, luminary[0] + w, y + 0.016), 0.008, 0.008)
            canvas.drawRRect(dash, fill(light.luminary, 0.6))
    shore = {"lake": (104, 160, 84), "sea": (240, 214, 152)}[scene.ground]
    top = [(i / 20, 0.87 + 0.02 * math.sin(i / 20 * 4 + seed % 11)) for i in range(21)]
    polygon(canvas, [(0, 1), *top, (1, 1)], fill(shade(shore, light, 0)))


def _river(canvas: skia.Canvas, light: Light, horizon: float, rng: Random) -> None:
    bend, start = rng.choice((-1, 1)) * rng.uniform(0.12, 0.18), rng.uniform(0.42, 0.58)
    left, right = [], []
    for i in range(21):
        t = i / 20
        x, half = start + bend * math.sin(t * 5), 0.012 + 0.16 * t * t
        y = horizon + (1 - horizon) * t
        left.append((x - half, y))
        right.append((x + half, y))
    polygon(canvas, [*left, *reversed(right)], fill(mix(light.sky[-1], light.water, 0.4)))


def _flowers(canvas: skia.Canvas, light: Light, horizon: float, rng: Random) -> None:
    colors = rng.sample([(238, 84, 92), (250, 206, 66), (244, 140, 190), (250, 248, 240), (160, 96, 210)], 2)
    for row in range(5):
        t = (row + 1) / 5
        y = horizon + 0.03 + (0.96 - horizon) * t * t
        r = 0.011 + 0.014 * t
        step = r * 4.2
        x = rng.uniform(0, step)
        while x < 1:
            spot = (x + rng.uniform(-r, r), y + rng.uniform(-r, r))
            canvas.drawCircle(*spot, r, fill(shade(rng.choice(colors), light, 0)))
            x += step


def _rows(canvas: skia.Canvas, light: Light, horizon: float, color: tuple[float, ...], rng: Random) -> None:
    """Rows of plants that run together at the horizon."""
    x, paint = rng.uniform(0.35, 0.65), fill(shade(color, light, 0.05))
    for i in range(-7, 8):
        near, far = x + i * 0.2, x + i * 0.022
        polygon(canvas, [(far - 0.003, horizon), (far + 0.003, horizon), (near + 0.05, 1), (near - 0.05, 1)], paint)


def _savanna(canvas: skia.Canvas, light: Light, horizon: float, rng: Random) -> None:
    for x in (rng.uniform(0.08, 0.3), rng.uniform(0.68, 0.92)):
        h, trunk, crown = (
            rng.uniform(0.1, 0.15),
            fill(shade((96, 70, 52), light, 0.15)),
            shade((96, 124, 60), light, 0.15),
        )
        polygon(canvas, [(x - 0.006, horizon + 0.03), (x + 0.006, horizon + 0.03), (x + 0.003, horizon - h)], trunk)
        canvas.drawOval(skia.Rect(x - 0.085, horizon - h - 0.02, x + 0.085, horizon - h + 0.025), fill(crown))
    for _ in range(26):
        t = rng.random()
        y, x = horizon + 0.04 + (0.94 - horizon) * t, rng.random()
        r = 0.012 + 0.02 * t
        tuft = [
            (x - r * 0.5, y),
            (x - r * 0.4, y - r * 1.6),
            (x, y - r * 0.5),
            (x + r * 0.4, y - r * 1.6),
            (x + r * 0.5, y),
        ]
        polygon(canvas, tuft, fill(shade((190, 148, 66), light, 0)))
