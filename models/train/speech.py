"""How people say what a scene holds: a small grammar of captions. Knows no pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from random import Random

from .nouns import INDOORS, OUTDOORS, UNCOUNTED, plural, with_article
from .scene import FIRST_WORLD, Scene, World, sample_scene

Says = Callable[[float], bool]  # whether a detail is said that a caption has with this probability
Ways = Mapping[str, tuple[str, ...]]

SAY_TIME: Ways = {
    "day": ("by day", "on a clear day", "at noon", "in daylight"),
    "dawn": ("at dawn", "at sunrise", "in the morning"),
    "sunset": ("at sunset", "at sundown", "in the evening"),
    "dusk": ("at dusk", "at twilight"),
    "night": ("at night", "by night"),
}
SAY_TERRAIN: Ways = {
    "mountains": ("mountains", "a mountain range"),
    "snowy mountains": ("snowy mountains", "snowy peaks", "snow-capped mountains"),
    "hills": ("hills", "green hills", "rolling hills"),
    "dunes": ("dunes", "sand dunes"),
    "city": ("a city", "a city skyline", "a town"),
    "islands": ("islands",),
    "forest": ("a forest", "the woods"),
    "volcano": ("a volcano",),
    "canyon": ("a canyon", "red cliffs"),
    "pyramids": ("pyramids",),
    "village": ("a village",),
}
SAY_GROUND: Ways = {
    "lake": ("by a lake", "behind a lake", "beside a lake"),
    "sea": ("by the sea", "by the ocean", "at the beach"),
    "river": ("along a river", "by a river", "with a river"),
    "meadow": ("behind a meadow", "in a green meadow", "on the grass"),
    "flowers": ("behind a field of flowers", "with flowers", "in a field of flowers"),
    "desert": ("in the desert", "in a desert"),
    "snow": ("in the snow", "in winter", "in a snowy field"),
    "vineyard": ("behind a vineyard", "by a vineyard"),
    "wheat": ("behind a wheat field", "in a field of wheat"),
    "savanna": ("in the savanna", "on the savanna"),
}
SAY_THING: dict[str, tuple[str, ...]] = {
    "pine trees": ("pine trees", "pines", "fir trees"),
    "palm trees": ("palm trees", "palms"),
    "birch trees": ("birch trees", "birches"),
    "cabin": ("a cabin", "a hut", "a house"),
    "lighthouse": ("a lighthouse",),
    "sailboat": ("a sailboat", "a boat", "a sailing boat"),
    "cactus": ("a cactus",),
    "tent": ("a tent",),
    "windmill": ("a windmill",),
    "oak tree": ("an oak tree", "a tree"),
    "castle": ("a castle",),
    "church": ("a church", "a chapel"),
    "barn": ("a red barn", "a barn"),
    "rocket": ("a rocket",),
    "deer": ("a deer", "a stag"),
    "snowman": ("a snowman",),
    "whale": ("a whale",),
    "hot-air balloon": ("a hot-air balloon", "a balloon"),
    "bridge": ("a bridge", "a stone bridge"),
}
SAY_MANY: dict[str, tuple[str, ...]] = {
    "cabin": ("cabins", "huts", "houses"),
    "lighthouse": ("lighthouses",),
    "sailboat": ("sailboats", "boats"),
    "cactus": ("cactuses",),
    "tent": ("tents",),
    "windmill": ("windmills",),
    "oak tree": ("oak trees", "trees"),
    "castle": ("castles",),
    "church": ("churches",),
    "barn": ("barns",),
    "rocket": ("rockets",),
    "deer": ("deer",),
    "snowman": ("snowmen",),
}
SAY_THING |= {icon: (with_article(icon),) for icon in (*OUTDOORS, *INDOORS)}
SAY_MANY |= {icon: (plural(icon),) for icon in (*OUTDOORS, *INDOORS) if icon not in UNCOUNTED}
SAY_COUNT = {2: "two", 3: "three", 4: "four"}
SAY_SIZE: Ways = {"small": ("small", "little"), "large": ("large", "big")}
SAY_POSITION: Ways = {
    "left": ("on the left",),
    "middle": ("in the middle", "in the center"),
    "right": ("on the right",),
}
SAY_LUMINARY: Ways = {
    "sun": ("the sun", "a sun"),
    "full moon": ("a full moon", "the moon"),
    "crescent moon": ("a crescent moon",),
}
SAY_CLOUDS = ("clouds", "a cloudy sky")
SAY_STARS = ("stars", "a starry sky")
SAY_AURORA = ("northern lights", "an aurora")
SAY_BIRDS = ("birds", "a flock of birds")
SAY_WEATHER: Ways = {
    "rain": ("in the rain", "on a rainy day"),
    "snowfall": ("while it snows", "in falling snow"),
    "fog": ("in fog", "in the mist"),
    "storm": ("in a storm", "in a thunderstorm"),
}
SAY_SEASON: Ways = {"autumn": ("in autumn", "in fall"), "spring": ("in spring",)}
SAY_STYLE: Ways = {
    "pastel": ("in pastel colors", "pastel"),
    "papercut": ("as a papercut", "papercut style"),
    "woodcut": ("as a woodcut", "woodcut style"),
    "mezzotint": ("as a mezzotint", "mezzotint style"),
    "risograph": ("as a risograph", "risograph print"),
    "neon": ("in neon colors", "neon style"),
    "pixel art": ("as pixel art", "pixel art"),
}
HURRY = 4.0  # omissions in captions as short as people write them


def say_palette(palette: str) -> tuple[str, ...]:
    return (f"in {palette}",)


def caption(scene: Scene, rng: Random, *, omissions: float = 1.0) -> str:
    """Describe a scene as a person would, leaving out a detail now and then; never with 0 `omissions`.

    What is left out is nevertheless in the picture, so the model also learns to choose for itself.
    """
    if scene.backdrop:
        return _sticker(scene, rng, partial(_says, rng, omissions))
    said = _picture(scene, rng, partial(_says, rng, omissions))
    manner = [*_choice(SAY_STYLE, scene.style, rng)]
    if scene.palette:
        manner += say_palette(scene.palette)
    return ", ".join([said, *manner])


def hint(scene: Scene, rng: Random) -> str:
    """Name one or two parts of a scene and nothing else, as negative prompts do and people in a hurry."""
    if scene.backdrop:
        return caption(scene, rng)
    where = [rng.choice(SAY_TERRAIN[scene.terrain]), rng.choice(SAY_GROUND[scene.ground])]
    when = [rng.choice(_times(scene)), *_choice(SAY_SEASON, scene.season, rng)]
    manner = [*_choice(SAY_WEATHER, scene.weather, rng), *_choice(SAY_STYLE, scene.style, rng)]
    seen = [_thing(scene, rng, partial(_says, rng, HURRY)), *_sky(scene, rng, partial(_says, rng, 0))]
    parts = [part for part in (*where, *when, *manner, *seen) if part]
    return ", ".join(rng.sample(parts, 1 if rng.random() < 0.7 else 2))


def _says(rng: Random, omissions: float, share: float) -> bool:
    return rng.random() < 1 - omissions * (1 - share)


def _picture(scene: Scene, rng: Random, says: Says) -> str:
    terrain = rng.choice(SAY_TERRAIN[scene.terrain])
    ground = rng.choice(SAY_GROUND[scene.ground])
    time = rng.choice(_times(scene)) if says(0.93) else ""
    time = _words(time, *_choice(SAY_SEASON, scene.season, rng), *_choice(SAY_WEATHER, scene.weather, rng))
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


def _times(scene: Scene) -> list[str]:
    """Return the ways of saying the time; no day of rain is clear."""
    return [way for way in SAY_TIME[scene.time] if scene.weather is None or "clear" not in way]


def _sticker(scene: Scene, rng: Random, says: Says) -> str:
    thing = _thing(scene, rng, says) if scene.thing_at != "middle" else _named(scene, rng)
    article = "an" if scene.backdrop == "orange" else "a"
    ground = rng.choice((f"on {scene.backdrop}", f"on {article} {scene.backdrop} background"))
    if scene.count > 1:
        return rng.choice((f"{thing} as stickers {ground}", f"stickers of {thing} {ground}"))
    return rng.choice((f"sticker of {thing} {ground}", f"{thing} as a sticker {ground}"))


def _choice(ways: Ways, value: str | None, rng: Random) -> list[str]:
    return [rng.choice(ways[value])] if value else []


def _thing(scene: Scene, rng: Random, says: Says) -> str:
    if scene.thing is None:
        return ""
    where = rng.choice(SAY_POSITION[scene.thing_at]) if says(0.92) else ""
    return _words(_named(scene, rng), where)


def _named(scene: Scene, rng: Random) -> str:
    assert scene.thing is not None
    name = rng.choice((SAY_THING if scene.count == 1 else SAY_MANY)[scene.thing])
    return _sized(name, scene, rng)


def _sized(name: str, scene: Scene, rng: Random) -> str:
    size = _choice(SAY_SIZE, scene.size, rng)
    if scene.count > 1:
        return _words(SAY_COUNT[scene.count], *size, name)
    if not size:
        return name
    article, _, noun = name.partition(" ")
    return _words("a", *size, noun) if article in ("a", "an") else _words(*size, name)


def _sky(scene: Scene, rng: Random, says: Says) -> list[str]:
    said = []
    if scene.luminary and says(0.95):
        where = rng.choice(SAY_POSITION[scene.luminary_at]) if says(0.88) else ""
        said.append(_words(rng.choice(SAY_LUMINARY[scene.luminary]), where))
    present = [(scene.clouds, SAY_CLOUDS), (scene.stars, SAY_STARS), (scene.aurora, SAY_AURORA)]
    if scene.birds:
        present.append((True, SAY_BIRDS))
    for is_there, ways in present:
        if is_there and says(0.95):
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


def vocabulary(world: World = FIRST_WORLD) -> dict[str, list[str]]:
    """Return every way of saying each kind of thing, for the page that shows what the model knows."""
    topics = {
        "times of day": _flat(SAY_TIME, world.times),
        "in the distance": _flat(SAY_TERRAIN, world.terrains),
        "the ground": _flat(SAY_GROUND, world.grounds),
        "in front": _flat(SAY_THING, (*world.things, *world.guests)),
        "stickers": [*_flat(SAY_THING, world.stickers), *(f"on {color}" for color in world.backdrops)],
        "positions": _flat(SAY_POSITION, SAY_POSITION),
        "the sky": [*_flat(SAY_LUMINARY, SAY_LUMINARY), *SAY_CLOUDS, *SAY_STARS, *SAY_AURORA],
        "weather and seasons": [*_flat(SAY_WEATHER, world.weathers), *_flat(SAY_SEASON, world.seasons)],
        "how many and how large": [SAY_COUNT[count] for count in world.counts if count > 1],
        "styles": _flat(SAY_STYLE, world.styles),
        "colors": [way for palette in world.palettes for way in say_palette(palette)],
    }
    if world.has_birds:
        topics["the sky"] += SAY_BIRDS
    topics["how many and how large"] += _flat(SAY_SIZE, world.sizes)
    return {topic: ways for topic, ways in topics.items() if ways}


def grammar_words(world: World = FIRST_WORLD, captions: int = 2000) -> list[str]:
    """Return the words that only join the things named in `vocabulary`."""
    named = {word for ways in vocabulary(world).values() for way in ways for word in way.split()}
    said = set()
    for number in range(captions):
        rng = Random(number)
        said.update(caption(sample_scene(rng, world), rng).replace(",", " ").split())
    return sorted(said - named)


def _flat(ways: Ways, values: Iterable[str]) -> list[str]:
    return [way for value in values for way in ways[value]]
