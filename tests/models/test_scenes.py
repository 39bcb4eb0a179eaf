"""The scenes that the embedded model learns, how they are drawn and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from models.train.design import SMALL
from models.train.pictures import HELD_OUT, picture_of, scene_of
from models.train.render import TALL, WIDE, Shape, render
from models.train.scene import FIRST_WORLD, GREEN, NEEDS, WATER, WORLDS, Scene, World, sample_scene, variant
from models.train.speech import caption, grammar_words, hint, vocabulary
from models.train.words import Words

SCENE = Scene("sunset", "snowy mountains", "lake", "cabin", "left", "sun", "right", True, False, False)


def test_a_picture_is_the_same_each_time() -> None:
    assert np.array_equal(picture_of(7), picture_of(7))
    assert not np.array_equal(picture_of(7), picture_of(8))


@pytest.mark.parametrize("field", ["time", "terrain", "ground", "thing", "thing_at", "luminary_at"])
def test_each_part_of_a_scene_is_seen(field: str) -> None:
    other = {"time": "night", "terrain": "city", "ground": "snow", "thing": "cactus"}.get(field, "middle")
    changed = Scene(**{name: getattr(SCENE, name) for name in Scene.__slots__} | {field: other})

    difference = render(SCENE, Random(1), 64).astype(int) - render(changed, Random(1), 64)

    assert (np.abs(difference).max(axis=2) > 20).mean() > 0.01


@pytest.mark.parametrize(
    "change",
    [{"weather": weather} for weather in WORLDS[2].weathers]
    + [{"season": season} for season in WORLDS[2].seasons]
    + [{"birds": True}],
)
def test_weather_seasons_and_birds_are_seen(change: dict[str, Any]) -> None:
    scene = replace(SCENE, time="day", ground="meadow", thing="birch trees", luminary=None, clouds=False)

    difference = render(scene, Random(1), 64).astype(int) - render(replace(scene, **change), Random(1), 64)

    assert (np.abs(difference).max(axis=2) > 20).mean() > 0.004


@pytest.mark.parametrize("world", WORLDS.values())
def test_scenes_and_their_variants_hold_together(world: World) -> None:
    sampled = [sample_scene(Random(number), world) for number in range(2000)]
    for scene in sampled + [variant(scene, Random(number), world) for number, scene in enumerate(sampled[:500])]:
        assert scene.ground in NEEDS.get(scene.thing or "", world.grounds)
        assert scene.terrain != "islands" or scene.ground in WATER
        assert scene.luminary != "sun" or scene.time not in ("dusk", "night")
        assert not scene.stars or scene.time in ("dusk", "night")
        assert scene.weather is None or (scene.luminary, scene.clouds, scene.stars) == (None, False, False)
        assert scene.weather not in ("rain", "snowfall") or scene.ground not in ("desert", "savanna")
        assert not scene.birds or (scene.weather is None and scene.time not in ("dusk", "night"))
        assert scene.season is None or scene.ground in GREEN


@pytest.mark.parametrize("world", WORLDS.values())
def test_a_variant_differs_in_one_part(world: World) -> None:
    for number in range(500):
        scene = sample_scene(Random(number), world)
        other = variant(scene, Random(number), world)
        assert sum(getattr(scene, part) != getattr(other, part) for part in Scene.__slots__) == 1


def test_a_scene_is_drawn_alike_but_for_the_part_that_differs() -> None:
    moved, starry = (
        Scene(**{name: getattr(SCENE, name) for name in Scene.__slots__} | change)
        for change in ({"thing_at": "right"}, {"stars": True})
    )
    original = render(SCENE, Random(1), 64).astype(int)

    assert np.abs(render(moved, Random(1), 64) - original)[:20].max() == 0  # the sky
    assert np.abs(render(starry, Random(1), 64) - original)[44:].max() == 0  # the ground


@pytest.mark.parametrize(("shape", "size"), [(WIDE, (64, 96)), (TALL, (96, 64))])
def test_a_wide_or_tall_picture_keeps_the_proportions_of_the_sun(shape: Shape, size: tuple[int, int]) -> None:
    scene = replace(SCENE, thing=None, clouds=False)
    scenes = (scene, replace(scene, luminary=None))
    picture, without = (render(seen, Random(1), 64, shape).astype(int) for seen in scenes)
    sky = np.abs(picture - without).max(axis=2)[: size[0] // 2] > 40
    rows, columns = np.flatnonzero(sky.any(axis=1)), np.flatnonzero(sky.any(axis=0))

    assert picture.shape == (*size, 3)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 2
    assert columns.mean() / size[1] == pytest.approx(0.78, abs=0.07)


def test_the_first_world_has_styles_and_palettes_but_nothing_else_of_the_second() -> None:
    scenes = [sample_scene(Random(number)) for number in range(500)]
    plain = (None, None, 1, None, False)
    for scene in scenes:
        assert (scene.weather, scene.season, scene.count, scene.size, scene.birds) == plain
    assert {scene.style for scene in scenes} == {None, *FIRST_WORLD.styles} < {None, *WORLDS[2].styles}
    assert {scene.palette for scene in scenes} == {None, *FIRST_WORLD.palettes} == {None, *WORLDS[2].palettes}


def test_a_caption_without_omissions_says_where() -> None:
    for number in range(200):
        said = caption(SCENE, Random(number), omissions=0)
        assert "on the left" in said
        assert "on the right" in said


def test_no_rainy_day_is_clear() -> None:
    wet = replace(SCENE, time="day", weather="rain", luminary=None, clouds=False)
    said = [say(wet, Random(number)) for say in (caption, hint) for number in range(200)]

    assert not any("clear" in text for text in said)
    assert any("at noon" in text for text in said)
    assert any("clear" in caption(replace(wet, weather=None), Random(number)) for number in range(200))


def test_a_hint_names_one_or_two_parts_of_the_scene() -> None:
    said = [hint(SCENE, Random(number)) for number in range(200)]

    assert {text.count(",") for text in said} == {0, 1}
    for part in ("cabin", "the sun on the right", "clouds", "by a lake", "snowy mountains", "at sunset"):
        assert any(part in text for text in said)
    assert {"clouds", "snowy peaks"} <= set(said)
    assert not any(other in text for text in said for other in ("stars", "lighthouse", "moon"))


def test_captions_name_what_is_there_and_nothing_else() -> None:
    nouns = {
        noun: {said.split()[-1] for said in ways}
        for noun, ways in (("cactus", ["a cactus"]), ("tent", ["a tent"]), ("windmill", ["a windmill"]))
    }
    for number in range(1000):
        rng = Random(number)
        scene = sample_scene(rng)
        words = set(caption(scene, rng).replace(",", "").split())
        for thing, said in nouns.items():
            assert not (words & said) or scene.thing == thing


def test_the_words_of_every_caption_are_known() -> None:
    words = Words.of_grammar(SMALL)
    known = {word for ways in vocabulary().values() for way in ways for word in way.split()} | set(grammar_words())

    for number in range(HELD_OUT, HELD_OUT + 300):
        said = caption(scene_of(number), Random(number))
        assert words.tokenizer.unknown_words(said) == []
        assert set(said.replace(",", "").split()) <= known
    assert words.tokenizer.unknown_words("a striped elephant by a lake") == ["striped", "elephant"]


def test_no_caption_is_too_long() -> None:
    words = Words.of_grammar(SMALL)
    longest = [caption(scene_of(number), Random(number)) for number in range(2000)]

    assert all(words.tokens([said])[0, -1] == words.vocabulary.pad for said in longest)


def test_every_thing_time_and_terrain_has_a_word() -> None:
    said = {way for ways in vocabulary().values() for way in ways}

    for name in (*FIRST_WORLD.things, *FIRST_WORLD.terrains, *FIRST_WORLD.times):
        assert any(name in way for way in said), name
