"""The worlds that an embedded model may know: what a poster landscape may hold.

A `Scene` is the truth of one picture; `render.py` draws it and `speech.py` describes it. Knows no pixels and no words.
World 1 is that of the model that is shipped; world 2 holds world 1 and more, for a longer training; world 3 adds
openly licensed artwork (`nouns.py`), placed in scenes and as stickers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from .nouns import INDOORS, OUTDOORS, UNCOUNTED

POSITIONS = ("left", "middle", "right")
LUMINARIES = ("sun", "full moon", "crescent moon")
WATER = ("lake", "sea")
DARK = ("dusk", "night")
NEEDS = {"sailboat": WATER, "whale": ("sea",), "snowman": ("snow",)}  # the grounds of what does not stand on any
ALONE = ("pine trees", "palm trees", "birch trees", "hot-air balloon", "whale", "bridge", *UNCOUNTED)  # never counted
GREEN = ("meadow", "flowers", "river", "lake", "vineyard")  # grounds on which a season is seen
COLORED = ("neon", "risograph", "mezzotint")  # styles that have inks of their own
DRY = ("desert", "savanna")
FALLING = ("rain", "snowfall")  # weathers that dry grounds have not
PRESENT: tuple[Any, ...] = (False, True)


@dataclass(frozen=True, slots=True)
class World:
    """What there is to choose from. With nothing in `styles`, `weathers` and so on, no scene has any."""

    times: tuple[str, ...]
    terrains: tuple[str, ...]
    grounds: tuple[str, ...]
    things: tuple[str, ...]
    weathers: tuple[str, ...] = ()
    seasons: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    palettes: tuple[str, ...] = ()
    counts: tuple[int, ...] = (1,)
    sizes: tuple[str, ...] = ()
    has_birds: bool = False
    guests: tuple[str, ...] = ()  # artwork that may stand in a scene
    stickers: tuple[str, ...] = ()  # artwork that may be a sticker
    backdrops: tuple[str, ...] = ()  # what is behind a sticker

    @property
    def classes(self) -> dict[str, tuple[Any, ...]]:
        """Return the values that each part of a scene can have, for those that read it; what never varies is absent."""
        every: dict[str, tuple[Any, ...]] = {
            "time": self.times,
            "terrain": self.terrains,
            "ground": self.grounds,
            "thing": (*self.things, *self.stickers, None),
            "thing_at": POSITIONS,
            "luminary": (*LUMINARIES, None),
            "luminary_at": POSITIONS,
            "weather": (*self.weathers, None),
            "season": (*self.seasons, None),
            "style": (*self.styles, None),
            "palette": (*self.palettes, None),
            "count": self.counts,
            "size": (*self.sizes, None),
            "birds": PRESENT if self.has_birds else (False,),
            "clouds": PRESENT,
            "stars": PRESENT,
            "aurora": PRESENT,
            "backdrop": (*self.backdrops, None),
        }
        return {part: values for part, values in every.items() if len(values) > 1}


FIRST_WORLD = World(
    times=("day", "dawn", "sunset", "dusk", "night"),
    terrains=("mountains", "snowy mountains", "hills", "dunes", "city", "islands"),
    grounds=("lake", "sea", "river", "meadow", "flowers", "desert", "snow"),
    things=(
        "pine trees",
        "palm trees",
        "birch trees",
        "cabin",
        "lighthouse",
        "sailboat",
        "cactus",
        "tent",
        "windmill",
    ),
    styles=("pastel", "papercut", "woodcut", "mezzotint"),
    palettes=("blue and gold", "red and cream", "purple and teal", "green and ivory", "pink and navy", "sepia"),
)
SECOND_WORLD = World(
    times=FIRST_WORLD.times,
    terrains=(*FIRST_WORLD.terrains, "forest", "volcano", "canyon", "pyramids", "village"),
    grounds=(*FIRST_WORLD.grounds, "vineyard", "wheat", "savanna"),
    things=(
        *FIRST_WORLD.things,
        "oak tree",
        "castle",
        "church",
        "barn",
        "rocket",
        "deer",
        "snowman",
        "whale",
        "hot-air balloon",
        "bridge",
    ),
    weathers=("rain", "snowfall", "fog", "storm"),
    seasons=("autumn", "spring"),
    styles=(*FIRST_WORLD.styles, "risograph", "neon", "pixel art"),
    palettes=FIRST_WORLD.palettes,
    counts=(1, 2, 3),
    sizes=("small", "large"),
    has_birds=True,
)
THIRD_WORLD = replace(
    SECOND_WORLD,
    counts=(1, 2, 3, 4),
    guests=OUTDOORS,
    stickers=(*OUTDOORS, *INDOORS),
    backdrops=("white", "yellow", "teal", "pink", "navy", "orange", "mint", "gray"),
)
WORLDS = {1: FIRST_WORLD, 2: SECOND_WORLD, 3: THIRD_WORLD}
STICKER_SHARE, GUEST_SHARE = 0.4, 0.5


@dataclass(frozen=True, slots=True)
class Scene:
    """What one picture shows. `thing_at` and `luminary_at` are meaningless where there is no thing or luminary.

    `count` things stand side by side, `thing_at` is then that of their middle.
    """

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
    weather: str | None = None
    season: str | None = None
    style: str | None = None
    palette: str | None = None
    count: int = 1
    size: str | None = None
    birds: bool = False
    backdrop: str | None = None  # of a sticker, of which only the thing, its count and its place mean anything


def sample_scene(rng: Random, world: World = FIRST_WORLD) -> Scene:
    """Draw a scene that a poster could show: boats are on water, moons at dusk and night, the sun never at night."""
    time = rng.choice(world.times)
    terrain = rng.choice(world.terrains)
    ground = rng.choice(WATER if terrain == "islands" else world.grounds)
    things = world.guests if world.guests and rng.random() < GUEST_SHARE else world.things
    thing = rng.choice(things) if rng.random() < 0.8 else None
    if thing in NEEDS and ground not in NEEDS[thing]:
        grounds = [name for name in NEEDS[thing] if terrain != "islands" or name in WATER]
        ground, thing = (rng.choice(grounds), thing) if grounds else (ground, None)
    dark = time in DARK
    aurora = dark and rng.random() < 0.25
    luminary = rng.choice(_luminaries(time)[:-1]) if rng.random() < (0.3 if aurora else 0.6) else None
    scene = Scene(
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
    if world.stickers and rng.random() < STICKER_SHARE:
        return _sticker(rng, world)
    return _enriched(scene, rng, world)


def _sticker(rng: Random, world: World) -> Scene:
    """A thing on a plain background."""
    plain = Scene("day", "hills", "meadow", rng.choice(world.stickers), "middle", None, "middle", False, False, False)
    count = 1 if plain.thing in UNCOUNTED else rng.choice((1, 1, *world.counts))
    place = rng.choice(POSITIONS) if count == 1 and rng.random() < 0.4 else "middle"
    return replace(plain, thing_at=place, count=count, backdrop=rng.choice(world.backdrops))


def _luminaries(time: str) -> tuple[Any, ...]:
    """What can shine at a time of day, or nothing."""
    return (*LUMINARIES[1:], None) if time in DARK else (*LUMINARIES[:1], None)


def _enriched(scene: Scene, rng: Random, world: World) -> Scene:
    """Add what only the later worlds have; each addition to few scenes, so that most stay calm."""
    weather = _perhaps(_weathers_on(scene, world), 0.25, rng)
    if weather:  # which hides the sky
        scene = replace(scene, luminary=None, stars=False, aurora=False, clouds=False)
    style = _perhaps(world.styles, 0.5, rng)
    return replace(
        scene,
        weather=weather,
        season=_perhaps(world.seasons, 0.25 if scene.ground in GREEN else 0, rng),
        style=style,
        palette=_perhaps(world.palettes, 0.2 if style not in COLORED else 0, rng),
        count=_count(scene, rng, world),
        size=_perhaps(world.sizes, 0.2 if scene.thing else 0, rng),
        birds=world.has_birds and weather is None and scene.time not in DARK and rng.random() < 0.2,
    )


def _perhaps(values: tuple[str, ...], share: float, rng: Random) -> str | None:
    return rng.choice(values) if values and rng.random() < share else None


def _count(scene: Scene, rng: Random, world: World) -> int:
    return rng.choice(world.counts) if scene.thing and scene.thing not in ALONE and rng.random() < 0.35 else 1


def variant(scene: Scene, rng: Random, world: World = FIRST_WORLD) -> Scene:
    """Return a scene that differs in one part: what is in front, where, the distance, the luminary, stars, style...

    Training on both side by side, with equal noise, shows what a word changes and nothing else.
    """
    if scene.backdrop:
        return _other_sticker(scene, rng, world)
    changes = [
        ("thing", _others(_things_on(scene, world), scene.thing), 5),
        ("terrain", _others(_terrains_at(scene, world), scene.terrain), 4),
    ]
    if not scene.aurora and scene.weather is None:
        changes.append(("clouds", [not scene.clouds], 6))
    if scene.thing:
        changes.append(("thing_at", _others(POSITIONS, scene.thing_at), 8))
        if scene.count == 1 and scene.size is None:
            changes.append(("thing", [None], 1))
        if scene.thing not in ALONE:
            changes.append(("count", _others(world.counts, scene.count), 3))
        changes.append(("size", _others((*world.sizes, None), scene.size), 2))
    if scene.luminary:
        changes.append(("luminary_at", _others(POSITIONS, scene.luminary_at), 6))
    if scene.weather is None:
        changes.append(("luminary", _others(_luminaries(scene.time), scene.luminary), 3))
        if scene.time in DARK:
            changes.append(("stars", [not scene.stars], 6))
        elif world.has_birds:
            changes.append(("birds", [not scene.birds], 2))
    else:
        changes.append(("weather", _others(_weathers_on(scene, world), scene.weather), 8))
    if scene.ground in GREEN:
        changes.append(("season", _others((*world.seasons, None), scene.season), 3))
    if scene.palette is None:
        changes.append(("style", _others((*world.styles, None), scene.style), 2))
    possible = [change for change in changes if change[1]]
    part, values, _ = rng.choices(possible, [weight for *_, weight in possible])[0]
    changed: dict[str, Any] = {part: rng.choice(values)}
    return replace(scene, **changed)


def _other_sticker(scene: Scene, rng: Random, world: World) -> Scene:
    things = [thing for thing in world.stickers if scene.count == 1 or thing not in UNCOUNTED]
    changes = [("thing", _others(things, scene.thing), 6), ("backdrop", _others(world.backdrops, scene.backdrop), 2)]
    if scene.thing not in UNCOUNTED and scene.thing_at == "middle":
        changes.append(("count", _others(world.counts, scene.count), 3))
    if scene.count == 1:
        changes.append(("thing_at", _others(POSITIONS, scene.thing_at), 3))
    part, values, _ = rng.choices(changes, [weight for *_, weight in changes])[0]
    changed: dict[str, Any] = {part: rng.choice(values)}
    return replace(scene, **changed)


def _weathers_on(scene: Scene, world: World) -> tuple[str, ...]:
    return tuple(weather for weather in world.weathers if weather not in FALLING or scene.ground not in DRY)


def _things_on(scene: Scene, world: World) -> list[str]:
    return [
        thing
        for thing in (*world.things, *world.guests)
        if scene.ground in NEEDS.get(thing, world.grounds) and (thing not in ALONE or scene.count == 1)
    ]


def _terrains_at(scene: Scene, world: World) -> list[str]:
    return [terrain for terrain in world.terrains if terrain != "islands" or scene.ground in WATER]


def _others(values: Sequence[Any], now: Any) -> list[Any]:
    return [value for value in values if value != now] if len(values) > 1 else []
