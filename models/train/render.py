"""Draw a scene as a flat poster landscape with skia. All coordinates are fractions of the picture's sides."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import skia
from numpy.typing import NDArray

from .ground import draw_ground
from .palette import LIGHTS, Light, light_of, weathered
from .scene import Scene
from .sky import X_OF, draw_sky, draw_weather, luminary_at
from .styles import styled
from .terrain import draw_terrain
from .things import draw_thing

Shape = tuple[float, float]  # height and width, in units of the size
SQUARE, WIDE, TALL = (1.0, 1.0), (1.0, 1.5), (1.5, 1.0)
BACKDROPS = {
    "white": (250, 250, 248),
    "yellow": (252, 214, 92),
    "teal": (42, 148, 150),
    "pink": (248, 178, 200),
    "navy": (30, 44, 88),
    "orange": (244, 148, 66),
    "mint": (178, 230, 204),
    "gray": (168, 172, 180),
}
STICKER_SCALE = {1: 1.75, 2: 0.86, 3: 0.6, 4: 0.48}
SIZES = {"small": 0.62, "large": 1.3, None: 1.0}
SPREAD = {
    1: (0.0,),
    2: (-0.15, 0.15),
    3: (-0.21, 0.0, 0.21),
    4: (-0.27, -0.09, 0.09, 0.27),
}  # of things beside each other
CROWD = {1: 1.0, 2: 0.66, 3: 0.54, 4: 0.44}  # size of things beside each other


def render(scene: Scene, rng: Random, size: int = 256, shape: Shape = SQUARE) -> NDArray[np.uint8]:
    """Return the picture of `scene` as (H, W, 3) uint8; `rng` decides what the scene leaves open.

    H and W are `size` times the two of `shape`. Land and sky stretch with them, things and moons stay as they are.

    Each part has random numbers of its own: two scenes that differ in one part, drawn from
    equal `rng`, differ there only.
    """
    height, width = (round(size * side) for side in shape)
    surface = skia.Surface(width, height)
    canvas = surface.getCanvas()
    canvas.scale(width, height)
    if scene.backdrop:
        return _sticker(surface, scene, rng)
    light = replace(weathered(light_of(scene.time, rng), scene.weather), season=scene.season)
    horizon = rng.uniform(0.54, 0.62)
    luminary = luminary_at(scene, horizon, Random(rng.getrandbits(32)))
    draw_sky(canvas, scene, light, horizon, luminary, rng)
    seed = rng.getrandbits(32)
    draw_terrain(canvas, scene, light, horizon, Random(seed))
    draw_ground(canvas, scene, light, horizon, seed, luminary, rng)
    if scene.thing:
        _things(canvas, scene, light, Random(seed + 1))
    draw_weather(canvas, scene, light, horizon, Random(seed + 2))
    pixels: NDArray[np.uint8] = surface.toarray(colorType=skia.kRGBA_8888_ColorType)[:, :, :3]
    return styled(pixels, scene.style, scene.palette, size)


def _things(canvas: skia.Canvas, scene: Scene, light: Light, rng: Random) -> None:
    assert scene.thing is not None
    x, low, high = X_OF[scene.thing_at] + rng.uniform(-0.04, 0.04), *_base(scene.thing)
    offsets, base = SPREAD[scene.count], rng.uniform(low, high)
    center = min(max(x, 0.1 - offsets[0]), 0.9 - offsets[-1])
    for offset in offsets:
        scale = SIZES[scene.size] * CROWD[scene.count] * rng.uniform(0.9, 1.08)
        y = base + (rng.uniform(-0.02, 0.02) if len(offsets) > 1 else 0)
        draw_thing(canvas, scene.thing, (center + offset, y), scale, light, rng)


def _sticker(surface: skia.Surface, scene: Scene, rng: Random) -> NDArray[np.uint8]:
    assert scene.thing is not None
    assert scene.backdrop is not None
    canvas, places = surface.getCanvas(), SPREAD[scene.count]
    canvas.drawColor(skia.Color(*(int(c * rng.uniform(0.97, 1.0)) for c in BACKDROPS[scene.backdrop])))
    scale, middle = STICKER_SCALE[scene.count] * rng.uniform(0.92, 1.05), X_OF[scene.thing_at]
    if scene.thing_at != "middle":
        scale *= 0.6
    seed = rng.getrandbits(32)
    for offset in places:
        foot = (middle + offset * 1.3, 0.5 + 0.21 * scale + rng.uniform(-0.02, 0.02))
        draw_thing(canvas, scene.thing, foot, scale, LIGHTS["day"], Random(seed))
    pixels: NDArray[np.uint8] = surface.toarray(colorType=skia.kRGBA_8888_ColorType)[:, :, :3]
    return pixels


def _base(thing: str) -> tuple[float, float]:
    """Where the foot of a thing is, from and to."""
    match thing:
        case "sailboat":
            return 0.74, 0.8
        case "whale":
            return 0.72, 0.78
        case "hot-air balloon":
            return 0.54, 0.6
        case _:
            return 0.86, 0.92
