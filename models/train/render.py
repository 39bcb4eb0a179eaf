"""Draw a scene as a flat poster landscape with skia. All coordinates are fractions of the picture's side."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import skia
from numpy.typing import NDArray

from .palette import Light, light_of, mix, shade
from .scene import WATER, Scene
from .things import draw_thing

X_OF = {"left": 0.22, "middle": 0.5, "right": 0.78}


def render(scene: Scene, rng: Random, size: int = 256) -> NDArray[np.uint8]:
    """Return the picture of `scene` as (size, size, 3) uint8; `rng` decides what the scene leaves open.

    Each part has random numbers of its own: two scenes that differ in one part, drawn from
    equal `rng`, differ there only.
    """
    surface = skia.Surface(size, size)
    canvas = surface.getCanvas()
    canvas.scale(size, size)
    light = light_of(scene.time, rng)
    horizon = rng.uniform(0.54, 0.62)
    luminary = _luminary_at(scene, horizon, Random(rng.getrandbits(32)))
    _sky(canvas, scene, light, horizon, luminary, rng)
    seed = rng.getrandbits(32)
    _terrain(canvas, scene, light, horizon, Random(seed))
    _ground(canvas, scene, light, horizon, seed, luminary, rng)
    if scene.thing:
        x = X_OF[scene.thing_at] + rng.uniform(-0.04, 0.04)
        base = rng.uniform(0.74, 0.8) if scene.thing == "sailboat" else rng.uniform(0.86, 0.92)
        draw_thing(canvas, scene.thing, x, base, light, rng)
    pixels: NDArray[np.uint8] = surface.toarray(colorType=skia.kRGBA_8888_ColorType)[:, :, :3]
    return pixels


def fill(color: tuple[float, ...], alpha: float = 1.0) -> skia.Paint:
    return skia.Paint(AntiAlias=True, Color4f=skia.Color4f(*(c / 255 for c in color), alpha))


def _gradient(top: float, bottom: float, colors: list[tuple[float, ...]]) -> skia.Paint:
    shades = [skia.Color(*(int(c) for c in color)) for color in colors]
    return skia.Paint(
        Shader=skia.GradientShader.MakeLinear(points=[skia.Point(0, top), skia.Point(0, bottom)], colors=shades)
    )


def _luminary_at(scene: Scene, horizon: float, rng: Random) -> tuple[float, float, float] | None:
    if scene.luminary is None:
        return None
    low = scene.time in ("dawn", "sunset") and scene.terrain != "city"
    y = horizon - rng.uniform(0.22, 0.3) if low else rng.uniform(0.15, 0.24)
    return X_OF[scene.luminary_at] + rng.uniform(-0.05, 0.05), y, rng.uniform(0.075, 0.095)


def _sky(
    canvas: skia.Canvas,
    scene: Scene,
    light: Light,
    horizon: float,
    luminary: tuple[float, float, float] | None,
    rng: Random,
) -> None:
    canvas.drawRect(skia.Rect(0, 0, 1, horizon + 0.02), _gradient(0, horizon, [*light.sky]))
    seed = rng.getrandbits(32)
    if scene.stars:
        _stars(canvas, horizon, Random(seed))
    if scene.aurora:
        _aurora(canvas, Random(seed + 1))
    if luminary:
        _luminary(canvas, scene, light, *luminary)
    if scene.clouds:
        _clouds(canvas, scene, light, Random(seed + 2))


def _stars(canvas: skia.Canvas, horizon: float, rng: Random) -> None:
    for _ in range(rng.randint(28, 42)):
        canvas.drawCircle(
            rng.random(), rng.random() * horizon * 0.85, rng.uniform(0.003, 0.0065), fill((250, 246, 225))
        )


def _luminary(canvas: skia.Canvas, scene: Scene, light: Light, x: float, y: float, radius: float) -> None:
    for reach, alpha in ((2.3, 0.12), (1.6, 0.2)):
        canvas.drawCircle(x, y, radius * reach, fill(light.glow, alpha))
    if scene.luminary == "crescent moon":
        disc = skia.Path.Circle(x, y, radius)
        shadow = skia.Path.Circle(x + radius * 0.55, y - radius * 0.15, radius * 0.9)
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
    color = mix((255, 255, 255), light.sky[-1], 0.35) if scene.time != "night" else (70, 84, 124)
    for i in range(rng.randint(2, 3)):
        x, y, w = (i + rng.uniform(0.2, 0.8)) / 3, rng.uniform(0.08, 0.3), rng.uniform(0.2, 0.3)
        cloud = skia.Path()
        for dx, r in ((-0.3, 0.16), (-0.05, 0.24), (0.22, 0.19)):
            cloud.addCircle(x + dx * w, y - r * w * 0.5, r * w)
        cloud.addRRect(skia.RRect.MakeRectXY(skia.Rect(x - w / 2, y - w * 0.12, x + w / 2, y + w * 0.08), w / 9, w / 9))
        canvas.drawPath(cloud, fill(color, 0.95))


def _ridge(rng: Random, peaks: int, low: float, high: float, base: float) -> list[tuple[float, float]]:
    xs = [(i + rng.uniform(0.25, 0.75)) / peaks for i in range(peaks)]
    points = [(-0.25, base)]
    for x in xs:
        points += [(x, base - rng.uniform(low, high)), (x + 0.5 / peaks, base - rng.uniform(0.02, low * 0.5))]
    return [*points, (1.25, base)]


def _polygon(canvas: skia.Canvas, points: list[tuple[float, float]], paint: skia.Paint) -> None:
    path = skia.Path()
    path.addPoly([skia.Point(x, y) for x, y in points], True)
    canvas.drawPath(path, paint)


def _terrain(canvas: skia.Canvas, scene: Scene, light: Light, horizon: float, rng: Random) -> None:
    match scene.terrain:
        case "mountains" | "snowy mountains":
            _mountains(canvas, light, horizon, rng, snowy=scene.terrain == "snowy mountains")
        case "hills" | "dunes":
            _swells(canvas, light, horizon, rng, (96, 156, 84) if scene.terrain == "hills" else (236, 196, 116))
        case "city":
            _city(canvas, scene, light, horizon, rng)
        case _:
            _islands(canvas, light, horizon, rng)


def _mountains(canvas: skia.Canvas, light: Light, horizon: float, rng: Random, *, snowy: bool) -> None:
    for depth, peaks, low, high in ((0.55, 3, 0.16, 0.28), (0.2, 2, 0.14, 0.36)):
        ridge = _ridge(rng, peaks, low, high, horizon)
        _polygon(canvas, ridge, fill(shade((98, 104, 128), light, depth)))
        for i in range(1, len(ridge) - 1, 2):
            (ax, ay), (bx, by), (cx, cy) = ridge[i - 1], ridge[i], ridge[i + 1]
            _polygon(canvas, [(bx, by), (cx, cy), (bx + (cx - bx) * 0.1, horizon)], fill((20, 20, 40), 0.14))
            if snowy:
                left = (bx + (ax - bx) * 0.42, by + (ay - by) * 0.42)
                right = (bx + (cx - bx) * 0.42, by + (cy - by) * 0.42)
                notch = (bx, by + (max(ay, cy) - by) * 0.28)
                _polygon(canvas, [(bx, by), right, notch, left], fill(shade((250, 252, 255), light, depth * 0.4)))


def _swells(canvas: skia.Canvas, light: Light, horizon: float, rng: Random, color: tuple[int, int, int]) -> None:
    for depth, height in ((0.55, 0.15), (0.25, 0.08)):
        phase, wave = rng.uniform(0, 6.3), rng.uniform(4.5, 7)
        top = [(i / 40, horizon - height * (0.75 + 0.45 * math.sin(phase + wave * i / 40))) for i in range(-1, 42)]
        _polygon(canvas, [(-0.1, horizon + 0.01), *top, (1.1, horizon + 0.01)], fill(shade(color, light, depth)))


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
    while y < bottom - 0.03:
        for column in (0.18, 0.58):
            if rng.random() < 0.7:
                canvas.drawRect(skia.Rect(x + w * column, y, x + w * (column + 0.24), y + 0.022), paint)
        y += 0.048


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


def _ground(
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
    base = {"desert": (236, 192, 118), "snow": (240, 244, 252)}.get(scene.ground, (112, 172, 82))
    near, far = shade(base, light, 0), shade(base, light, 0.3)
    canvas.drawRect(skia.Rect(0, horizon, 1, 1), _gradient(horizon, 1, [far, near]))
    if scene.ground == "river":
        _river(canvas, light, horizon, rng)
    if scene.ground == "flowers":
        _flowers(canvas, light, horizon, rng)
    if scene.ground in ("desert", "snow"):
        y = horizon + rng.uniform(0.12, 0.2)
        curve = [(i / 20, y + 0.03 * math.sin(i / 20 * 5 + seed % 7)) for i in range(21)]
        _polygon(canvas, [(0, 1), *curve, (1, 1)], fill(shade(tuple(c * 0.93 for c in base), light, 0)))


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
    canvas.drawRect(skia.Rect(0, horizon, 1, 1), _gradient(horizon, 1, [far, near]))
    if scene.ground == "lake":
        canvas.save()
        canvas.clipRect(skia.Rect(0, horizon, 1, 1))
        canvas.translate(0, 2 * horizon)
        canvas.scale(1, -1)
        canvas.saveLayerAlpha(skia.Rect(0, 0, 1, horizon), 90)
        _terrain(canvas, scene, light, horizon, Random(seed))
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
    _polygon(canvas, [(0, 1), *top, (1, 1)], fill(shade(shore, light, 0)))


def _river(canvas: skia.Canvas, light: Light, horizon: float, rng: Random) -> None:
    bend, start = rng.choice((-1, 1)) * rng.uniform(0.12, 0.18), rng.uniform(0.42, 0.58)
    left, right = [], []
    for i in range(21):
        t = i / 20
        x, half = start + bend * math.sin(t * 5), 0.012 + 0.16 * t * t
        y = horizon + (1 - horizon) * t
        left.append((x - half, y))
        right.append((x + half, y))
    _polygon(canvas, [*left, *reversed(right)], fill(mix(light.sky[-1], light.water, 0.4)))


def _flowers(canvas: skia.Canvas, light: Light, horizon: float, rng: Random) -> None:
    colors = rng.sample([(238, 84, 92), (250, 206, 66), (244, 140, 190), (250, 248, 240), (160, 96, 210)], 2)
    for row in range(5):
        t = (row + 1) / 5
        y = horizon + 0.03 + (0.96 - horizon) * t * t
        r = 0.008 + 0.015 * t
        step = r * 4.2
        x = rng.uniform(0, step)
        while x < 1:
            spot = (x + rng.uniform(-r, r), y + rng.uniform(-r, r))
            canvas.drawCircle(*spot, r, fill(shade(rng.choice(colors), light, 0)))
            x += step
