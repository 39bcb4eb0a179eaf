"""The world that the embedded model knows: what a poster landscape may hold, and how people say it.

A `Scene` is the truth of one picture; `render.py` draws it and `caption` describes it. Knows no pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

Says = Callable[[float], bool]  # whether a detail is said that a caption has with this probability

TIMES = ("day", "dawn", "sunset", "dusk", "night")
TERRAINS = ("mountains", "snowy mountains", "hills", "dunes", "city", "islands")
GROUNDS = ("lake", "sea", "river", "meadow", "flowers", "desert", "snow")
THINGS = (
    "pine trees",
    "palm trees",
    "birch trees",
    "cabin",
    "lighthouse",
    "sailboat",
    "cactus",
    "tent",
    "windmill",
)
POSITIONS = ("left", "middle", "right")
LUMINARIES = ("sun", "full moon", "crescent moon")
WATER = ("lake", "sea")
DARK = ("dusk", "night")

SAY_TIME = {
    "day": ("by day", "on a clear day", "at noon", "in daylight"),
    "dawn": ("at dawn", "at sunrise", "in the morning"),
    "sunset": ("at sunset", "at sundown", "in the evening"),
    "dusk": ("at dusk", "at twilight"),
    "night": ("at night", "by night"),
}
SAY_TERRAIN = {
    "mountains": ("mountains", "a mountain range"),
    "snowy mountains": ("snowy mountains", "snowy peaks", "snow-capped mountains"),
    "hills": ("hills", "green hills", "rolling hills"),
    "dunes": ("dunes", "sand dunes"),
    "city": ("a city", "a city skyline", "a town"),
    "islands": ("islands",),
}
SAY_GROUND = {
    "lake": ("by a lake", "behind a lake", "beside a lake"),
    "sea": ("by the sea", "by the ocean", "at the beach"),
    "river": ("along a river", "by a river", "with a river"),
    "meadow": ("behind a meadow", "in a green meadow", "on the grass"),
    "flowers": ("behind a field of flowers", "with flowers", "in a field of flowers"),
    "desert": ("in the desert", "in a desert"),
    "snow": ("in the snow", "in winter", "in a snowy field"),
}
SAY_THING = {
    "pine trees": ("pine trees", "pines", "fir trees"),
    "palm trees": ("palm trees", "palms"),
    "birch trees": ("birch trees", "birches"),
    "cabin": ("a cabin", "a hut", "a house"),
    "lighthouse": ("a lighthouse",),
    "sailboat": ("a sailboat", "a boat", "a sailing boat"),
    "cactus": ("a cactus",),
    "tent": ("a tent",),
    "windmill": ("a windmill",),
}
SAY_POSITION = {
    "left": ("on the left",),
    "middle": ("in the middle", "in the center"),
    "right": ("on the right",),
}
SAY_LUMINARY = {
    "sun": ("the sun", "a sun"),
    "full moon": ("a full moon", "the moon"),
    "crescent moon": ("a crescent moon",),
}
SAY_CLOUDS = ("clouds", "a cloudy sky")
SAY_STARS = ("stars", "a starry sky")
SAY_AURORA = ("northern lights", "an aurora")


@dataclass(frozen=True, slots=True)
class Scene:
    """What one picture shows. `thing_at` and `luminary_at` are meaningless where there is no thing or luminary."""

    time: str
    terrain: str
    ground: str
    thing: str | None
    thing_at: str
    luminary: str | None
    luminary_at: str
    clouds: bool
    stars: bool
    aurora: bool


def sample_scene(rng: Random) -> Scene:
    """Draw a scene that a poster could show: boats are on water, moons at dusk and night, the sun never at night."""
    time = rng.choice(TIMES)
    terrain = rng.choice(TERRAINS)
    ground = rng.choice(WATER if terrain == "islands" else GROUNDS)
    thing = rng.choice(THINGS) if rng.random() < 0.8 else None
    if thing == "sailboat" and ground not in WATER:
        ground = rng.choice(WATER)
    dark = time in DARK
    luminaries = LUMINARIES[1:] if dark else LUMINARIES[:1]
    aurora = dark and rng.random() < 0.25
    luminary = rng.choice(luminaries) if rng.random() < (0.3 if aurora else 0.6) else None
    return Scene(
        time=time,
        terrain=terrain,
        ground=ground,
        thing=thing,
        thing_at=rng.choice(POSITIONS),
        luminary=luminary,
        luminary_at=rng.choice(POSITIONS),
        clouds=not aurora and rng.random() < 0.35,
        stars=dark and rng.random() < (0.7 if time == "night" else 0.3),
        aurora=aurora,
    )


def variant(scene: Scene, rng: Random) -> Scene:
    """Return a scene that differs in one part: what is in front, where, the luminary's place, stars, clouds.

    Training on both side by side, with equal noise, shows what a word changes and nothing else.
    """
    changes = [("thing", _others(_things_on(scene.ground), scene.thing), 5)]
    if not scene.aurora:
        changes.append(("clouds", [not scene.clouds], 1))
    if scene.thing:
        changes += [("thing_at", _others(POSITIONS, scene.thing_at), 8), ("thing", [None], 1)]
    if scene.luminary:
        changes.append(("luminary_at", _others(POSITIONS, scene.luminary_at), 4))
    if scene.time in DARK:
        changes.append(("stars", [not scene.stars], 2))
    part, values, _ = rng.choices(changes, [weight for *_, weight in changes])[0]
    changed: dict[str, Any] = {part: rng.choice(values)}
    return replace(scene, **changed)


def _things_on(ground: str) -> list[str]:
    return [thing for thing in THINGS if thing != "sailboat" or ground in WATER]


def _others(values: Sequence[str], now: str | None) -> list[Any]:
    return [value for value in values if value != now]


def caption(scene: Scene, rng: Random, *, omissions: float = 1.0) -> str:
    """Describe a scene as a person would, leaving out a detail now and then; never with 0 `omissions`.

    What is left out is nevertheless in the picture, so the model also learns to choose for itself.
    """
    says = partial(_says, rng, omissions)
    terrain = rng.choice(SAY_TERRAIN[scene.terrain])
    ground = rng.choice(SAY_GROUND[scene.ground])
    time = rng.choice(SAY_TIME[scene.time]) if says(0.93) else ""
    thing = _thing(scene, rng, says)
    sky = _sky(scene, rng, says)
    order = rng.random()
    if order < 0.45:
        return _words(f"{terrain} {ground} {time}", _with(thing, sky))
    if order < 0.65:
        return _words(f"{time}," if time else "", terrain, ground, _with(thing, sky))
    if order < 0.85 and thing:
        behind = f", {terrain} behind" if says(0.85) else ""
        return _words(f"{_words(thing, ground, time)}{behind}", f", {_list(sky)}" if sky else "")
    keywords = [part for part in (terrain, ground, time, thing, *sky) if part]
    head, tail = keywords[:1], keywords[1:]
    rng.shuffle(tail)
    return ", ".join(head + tail)


def _says(rng: Random, omissions: float, share: float) -> bool:
    return rng.random() < 1 - omissions * (1 - share)


def _thing(scene: Scene, rng: Random, says: Says) -> str:
    if scene.thing is None:
        return ""
    where = rng.choice(SAY_POSITION[scene.thing_at]) if says(0.92) else ""
    return _words(rng.choice(SAY_THING[scene.thing]), where)


def _sky(scene: Scene, rng: Random, says: Says) -> list[str]:
    said = []
    if scene.luminary and says(0.95):
        where = rng.choice(SAY_POSITION[scene.luminary_at]) if says(0.88) else ""
        said.append(_words(rng.choice(SAY_LUMINARY[scene.luminary]), where))
    for present, ways in ((scene.clouds, SAY_CLOUDS), (scene.stars, SAY_STARS), (scene.aurora, SAY_AURORA)):
        if present and says(0.95):
            said.append(rng.choice(ways))
    rng.shuffle(said)
    return said


def _with(thing: str, sky: list[str]) -> str:
    parts = [thing, *sky] if thing else sky
    return f"with {_list(parts)}" if parts else ""


def _list(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _words(*parts: str) -> str:
    return " ".join(" ".join(part for part in parts if part).split()).replace(" ,", ",")


def vocabulary() -> dict[str, list[str]]:
    """Return every way of saying each kind of thing, for the page that shows what the model knows."""
    return {
        "times of day": _flat(SAY_TIME),
        "in the distance": _flat(SAY_TERRAIN),
        "the ground": _flat(SAY_GROUND),
        "in front": _flat(SAY_THING),
        "positions": _flat(SAY_POSITION),
        "the sky": [*_flat(SAY_LUMINARY), *SAY_CLOUDS, *SAY_STARS, *SAY_AURORA],
    }


def grammar_words(captions: int = 2000) -> list[str]:
    """Return the words that only join the things named in `vocabulary`."""
    named = {word for ways in vocabulary().values() for way in ways for word in way.split()}
    said = set()
    for number in range(captions):
        rng = Random(number)
        said.update(caption(sample_scene(rng), rng).replace(",", " ").split())
    return sorted(said - named)


def _flat(ways: dict[str, tuple[str, ...]]) -> list[str]:
    return [way for group in ways.values() for way in group]
