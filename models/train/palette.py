"""The light of each time of day, and colours seen in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

Color = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Light:
    """`sky` runs from the zenith to the horizon; `ambient` multiplies what it falls on; `haze` covers the distance."""

    sky: tuple[Color, ...]
    ambient: Color
    haze: Color
    luminary: Color
    glow: Color
    water: Color
    season: str | None = None


LIGHTS = {
    "day": Light(
        ((52, 132, 216), (122, 186, 236), (204, 232, 246)),
        (1.0, 1.0, 1.0),
        (196, 222, 238),
        (255, 236, 120),
        (255, 244, 190),
        (46, 118, 182),
    ),
    "dawn": Light(
        ((120, 172, 220), (206, 200, 214), (255, 212, 178)),
        (0.98, 0.86, 0.84),
        (244, 208, 196),
        (255, 214, 130),
        (255, 232, 190),
        (112, 150, 190),
    ),
    "sunset": Light(
        ((178, 52, 70), (236, 106, 60), (255, 196, 92)),
        (0.9, 0.6, 0.46),
        (246, 150, 86),
        (255, 240, 150),
        (255, 214, 120),
        (150, 62, 66),
    ),
    "dusk": Light(
        ((50, 40, 104), (122, 68, 142), (226, 132, 160)),
        (0.56, 0.44, 0.66),
        (160, 96, 152),
        (252, 244, 220),
        (250, 220, 230),
        (62, 48, 110),
    ),
    "night": Light(
        ((8, 14, 44), (16, 32, 74), (34, 62, 108)),
        (0.42, 0.46, 0.62),
        (32, 54, 96),
        (248, 244, 216),
        (190, 204, 240),
        (14, 28, 66),
    ),
}


def mix(a: tuple[float, ...], b: tuple[float, ...], share: float) -> Color:
    """Return `a` with `share` (0..1) of `b` in it."""
    r, g, blue = (x + (y - x) * share for x, y in zip(a, b, strict=True))
    return r, g, blue


def shade(color: tuple[float, ...], light: Light, depth: float) -> Color:
    """Return how `color` looks in `light` at `depth` 0 (near) to 1 (lost in the haze)."""
    r, g, b = (c * a for c, a in zip(seasonal(color, light.season), light.ambient, strict=True))
    return mix((r, g, b), light.haze, depth)


def seasonal(color: tuple[float, ...], season: str | None) -> Color:
    """Return what a season makes of a green: orange in autumn, fresh in spring. Other colours stay."""
    r, g, b = color
    if season is None or g <= max(r, b):
        return r, g, b
    return mix(color, (222, 128, 44), 0.8) if season == "autumn" else mix(color, (186, 234, 92), 0.75)


def weathered(light: Light, weather: str | None) -> Light:
    """Return a light under a covered sky."""
    if weather is None:
        return light
    dim, grey = {"rain": (0.8, 0.55), "snowfall": (0.95, 0.5), "fog": (0.95, 0.6), "storm": (0.6, 0.6)}[weather]
    level = sum(light.sky[1]) / 3 * dim
    cover = (level * 0.94, level, level * 1.07)
    red, green, blue = (a * (0.55 + 0.45 * dim) for a in light.ambient)
    return replace(
        light,
        sky=tuple(mix(tuple(c * dim for c in color), cover, grey) for color in light.sky),
        ambient=(red, green, blue),
        haze=mix(tuple(c * dim for c in light.haze), cover, grey),
        water=mix(tuple(c * dim for c in light.water), cover, grey * 0.7),
    )


def light_of(time: str, rng: Random) -> Light:
    """Return the light of a time of day, slightly different for each picture."""
    base = LIGHTS[time]
    tint = tuple(rng.uniform(0.94, 1.06) for _ in range(3))

    def vary(color: Color) -> Color:
        r, g, b = (min(255.0, c * t) for c, t in zip(color, tint, strict=True))
        return r, g, b

    return Light(
        tuple(vary(c) for c in base.sky), base.ambient, vary(base.haze), base.luminary, base.glow, vary(base.water)
    )
