"""Skies: their light, what shines in them, clouds and weather. All coordinates are fractions of the picture's side."""

from __future__ import annotations

import math
from random import Random

import skia

from .drawing import fill, gradient, polygon, undistorted
from .palette import Light, mix
from .scene import Scene

X_OF = {"left": 0.22, "middle": 0.5, "right": 0.78}
COVERED = ("rain", "snowfall", "storm")


def luminary_at(scene: Scene, horizon: float, rng: Random) -> tuple[float, float, float] | None:
    if scene.luminary is None:
        return None
    low = scene.time in ("dawn", "sunset") and scene.terrain != "city"
    y = horizon - rng.uniform(0.22, 0.3) if low else rng.uniform(0.15, 0.24)
    return X_OF[scene.luminary_at] + rng.uniform(-0.05, 0.05), y, rng.uniform(0.075, 0.095)


def draw_sky(
    canvas: skia.Canvas,
    scene: Scene,
    light: Light,
    horizon: float,
    luminary: tuple[float, float, float] | None,
    rng: Random,
) -> None:
    canvas.drawRect(skia.Rect(0, 0, 1, horizon + 0.02), gradient(0, horizon, [*light.sky]))
    seed = rng.getrandbits(32)
    if scene.stars:
        _stars(canvas, horizon, Random(seed))
    if scene.aurora:
        _aurora(canvas, Random(seed + 1))
    if luminary:
        with undistorted(canvas, *luminary[:2]):
            _luminary(canvas, scene, light, *luminary)
    if scene.clouds:
        _clouds(canvas, scene, light, Random(seed + 2))
    if scene.weather in COVERED:
        _cover(canvas, light, Random(seed + 3))
    if scene.birds:
        _birds(canvas, light, Random(seed + 4))


def _stars(canvas: skia.Canvas, horizon: float, rng: Random) -> None:
    """Few and large, so that they outlive the autoencoder."""
    for _ in range(rng.randint(18, 26)):
        x, y, radius = rng.random(), 0.02 + rng.random() * horizon * 0.8, rng.uniform(0.006, 0.011)
        with undistorted(canvas, x, y):
            canvas.drawCircle(x, y, radius, fill((250, 246, 225)))


def _luminary(canvas: skia.Canvas, scene: Scene, light: Light, x: float, y: float, radius: float) -> None:
    for reach, alpha in ((2.3, 0.12), (1.6, 0.2)):
        canvas.drawCircle(x, y, radius * reach, fill(light.glow, alpha))
    if scene.luminary == "crescent moon":
        disc = skia.Path.Circle(x, y, radius)
        shadow = skia.Path.Circle(x + radius * 0.6, y - radius * 0.15, radius * 0.92)
        canvas.drawPath(skia.Op(disc, shadow, skia.kDifference_PathOp), fill(light.luminary))
        return
    canvas.drawCircle(x, y, radius, fill(light.luminary))


def _aurora(canvas: skia.Canvas, rng: Random) -> None:
    for band in range(2):
        phase, base = rng.uniform(0, 6), 0.22 + 0.13 * band + rng.uniform(-0.03, 0.03)
        path = skia.Path()
        lower = [(i / 12, base + 0.05 * math.sin(phase + i * 0.7)) for i in range(13)]
        upper = [(x, y - 0.17 - 0.03 * math.sin(phase + 2 + x * 9)) for x, y in reversed(lower)]
        path.addPoly([skia.Point(x, y) for x, y in lower + upper], True)
        paint = fill((64, 224, 150) if band == 0 else (88, 210, 190), 0.5)
        paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, 0.02))
        canvas.drawPath(path, paint)


def _clouds(canvas: skia.Canvas, scene: Scene, light: Light, rng: Random) -> None:
    color = mix((255, 255, 255), light.sky[-1], 0.35) if scene.time != "night" else (84, 100, 144)
    for i in range(rng.randint(2, 3)):
        x, y, w = (i + rng.uniform(0.2, 0.8)) / 3, rng.uniform(0.08, 0.3), rng.uniform(0.2, 0.3)
        cloud = skia.Path()
        for dx, r in ((-0.3, 0.16), (-0.05, 0.24), (0.22, 0.19)):
            cloud.addCircle(x + dx * w, y - r * w * 0.5, r * w)
        cloud.addRRect(skia.RRect.MakeRectXY(skia.Rect(x - w / 2, y - w * 0.12, x + w / 2, y + w * 0.08), w / 9, w / 9))
        with undistorted(canvas, x, y):
            canvas.drawPath(cloud, fill(color, 0.95))


def _cover(canvas: skia.Canvas, light: Light, rng: Random) -> None:
    """A ceiling of heavy clouds."""
    for y, depth in ((0.13, 0.3), (0.07, 0.0)):
        color = mix(tuple(c * 0.72 for c in light.sky[0]), light.haze, depth)
        canvas.drawRect(skia.Rect(0, 0, 1, y), fill(color))
        for i in range(7):
            canvas.drawCircle((i + rng.uniform(0.2, 0.8)) / 7, y, rng.uniform(0.06, 0.1), fill(color))


def _birds(canvas: skia.Canvas, light: Light, rng: Random) -> None:
    x, y, ink = rng.uniform(0.25, 0.75), rng.uniform(0.14, 0.26), mix(light.sky[0], (20, 24, 36), 0.8)
    paint = skia.Paint(AntiAlias=True, Color4f=skia.Color4f(*(c / 255 for c in ink), 1))
    paint.setStyle(skia.Paint.kStroke_Style)
    paint.setStrokeWidth(0.009)
    paint.setStrokeCap(skia.Paint.kRound_Cap)
    for i in range(rng.randint(4, 6)):
        side, row = (-1) ** i, (i + 1) // 2
        bx, by, w = x + side * row * 0.07, y + row * 0.035 + rng.uniform(-0.008, 0.008), rng.uniform(0.022, 0.03)
        wings = skia.Path()
        wings.moveTo(bx - w, by - w * 0.45)
        wings.quadTo(bx - w * 0.4, by - w * 0.6, bx, by)
        wings.quadTo(bx + w * 0.4, by - w * 0.6, bx + w, by - w * 0.45)
        canvas.drawPath(wings, paint)


def draw_weather(canvas: skia.Canvas, scene: Scene, light: Light, horizon: float, rng: Random) -> None:
    """Draw what falls or hangs in front of everything."""
    match scene.weather:
        case "rain" | "storm":
            if scene.weather == "storm":
                _lightning(canvas, horizon, rng)
            for _ in range(70):
                x, y, length = rng.uniform(-0.05, 1.05), rng.uniform(-0.05, 1), rng.uniform(0.05, 0.08)
                drop = [(x, y), (x + 0.006, y), (x - length * 0.3 + 0.006, y + length), (x - length * 0.3, y + length)]
                polygon(canvas, drop, fill((226, 236, 248), 0.42))
        case "snowfall":
            for _ in range(90):
                canvas.drawCircle(rng.random(), rng.random(), rng.uniform(0.005, 0.011), fill((252, 253, 255), 0.92))
        case "fog":
            for i in range(4):
                y = horizon - 0.16 + i * 0.085 + rng.uniform(-0.02, 0.02)
                paint = fill(mix(light.haze, (255, 255, 255), 0.25), 0.5)
                paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, 0.018))
                x, w = rng.uniform(-0.5, -0.2), rng.uniform(1.5, 1.8)
                canvas.drawRRect(skia.RRect.MakeRectXY(skia.Rect(x, y, x + w, y + 0.06), 0.03, 0.03), paint)


def _lightning(canvas: skia.Canvas, horizon: float, rng: Random) -> None:
    x, top = rng.uniform(0.2, 0.8), 0.1
    drop = horizon - top
    right = [(x + 0.02, top), (x + 0.005, top + drop * 0.4), (x + 0.04, top + drop * 0.42)]
    left = [(x - 0.01, top + drop), (x + 0.008, top + drop * 0.55), (x - 0.03, top + drop * 0.53)]
    polygon(canvas, [*right, *left, (x - 0.012, top)], fill((255, 246, 190)))
