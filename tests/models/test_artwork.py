"""Artwork of others: fetched by name and version, drawn into sprites, placed in scenes and as stickers.

No package is fetched here: the artwork of these tests is a red square and a green disc that they pack themselves.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from models.train import artwork, pairs
from models.train.artwork import ArtworkError, Package
from models.train.command import main
from models.train.evaluate import is_named
from models.train.nouns import INDOORS, OUTDOORS, UNCOUNTED, plural, with_article
from models.train.probe import IGNORED, label_of
from models.train.render import BACKDROPS, SQUARE, WIDE, render
from models.train.scene import THIRD_WORLD, Scene, sample_scene, variant
from models.train.speech import caption

PACKAGE = Package("@tests/squares", "1.0.0", "MIT")
ICONS = {
    "prefix": "squares",
    "width": 10,
    "height": 10,
    "icons": {
        "fox": {"body": '<path fill="#ff0000" d="M0 0h10v10H0z"/>'},
        "round": {"body": '<circle cx="5" cy="5" r="5" fill="#00ff00"/>'},
    },
    "aliases": {"red-apple": {"parent": "round"}},
}
MEADOW = Scene("day", "hills", "meadow", "fox", "left", None, "middle", False, False, False)
STICKER = replace(MEADOW, thing="red-apple", thing_at="middle", backdrop="white")


def packed(target: Path, version: str = "1.0.0") -> Path:
    """Write a package as npm packs it, with a file beside that reaches out of its folder."""
    contents = {
        "package/icons.json": json.dumps(ICONS),
        "package/info.json": "{}",
        "package/package.json": json.dumps({"name": PACKAGE.name, "version": version, "license": "MIT"}),
        "package/../../outside.txt": "never written",
    }
    with tarfile.open(target, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return target


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Sprites of a fox and an apple, in the place where the renderer looks for them."""
    folder = tmp_path / "artwork"
    artwork.unpack(packed(tmp_path / "squares.tgz"), folder / "squares")
    artwork.draw(folder, [PACKAGE], ["fox", "red-apple"])
    monkeypatch.setattr(artwork, "FOLDER", folder)
    yield folder
    artwork._sprites.cache_clear()


def test_only_what_is_needed_is_unpacked(folder: Path) -> None:
    assert {path.name for path in (folder / "squares").iterdir()} == {"icons.json", "info.json", "package.json"}
    assert not list(folder.parent.rglob("outside.txt"))


def test_a_package_of_another_version_is_refused(tmp_path: Path) -> None:
    artwork.unpack(packed(tmp_path / "squares.tgz", version="2.0.0"), tmp_path / "squares")

    with pytest.raises(ArtworkError, match=r"2\.0\.0 MIT instead of"):
        artwork.check(PACKAGE, tmp_path / "squares")


def test_an_icon_that_a_package_lacks_is_named() -> None:
    with pytest.raises(ArtworkError, match="squares has no 'zebra'"):
        artwork.sprite(ICONS, "zebra")


@pytest.mark.usefixtures("folder")
def test_a_guest_stands_where_the_scene_says() -> None:
    with_fox, without = (render(replace(MEADOW, thing=thing), Random(1), 64).astype(int) for thing in ("fox", None))

    rows, columns = np.nonzero(np.abs(with_fox - without).max(axis=2) > 40)

    assert abs(columns.mean() / 64 - 0.22) < 0.08
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 2
    assert 18 < np.ptp(columns) < 32  # 0.42 of the side


@pytest.mark.usefixtures("folder")
def test_a_guest_is_seen_in_the_light_of_the_hour() -> None:
    day, night = (render(replace(MEADOW, time=time), Random(1), 64)[..., 0].max() for time in ("day", "night"))

    assert day > 250
    assert night < 170


@pytest.mark.usefixtures("folder")
def test_a_sticker_is_the_thing_on_a_plain_background() -> None:
    picture = render(STICKER, Random(3), 64, WIDE).astype(int)

    green = picture[..., 1] - picture[..., 0] > 100
    rows, columns = np.nonzero(green)
    assert picture.shape == (64, 96, 3)
    assert np.abs(picture[0, 0] - BACKDROPS["white"]).max() < 12
    assert (picture[~green].std(axis=0) < 25).all()
    assert abs(columns.mean() - 47.5) < 2
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("count", [2, 3, 4])
def test_so_many_stickers_are_so_many(count: int) -> None:
    picture = render(replace(STICKER, count=count), Random(3), 96).astype(int)

    line = (picture[..., 1] - picture[..., 0] > 100).any(axis=0)

    assert int((np.diff(line.astype(int)) == 1).sum()) == count


def test_a_sticker_is_called_one() -> None:
    said = {caption(STICKER, Random(number), omissions=0) for number in range(40)}

    assert said == {
        f"{words} {ground}"
        for words in ("sticker of an apple", "an apple as a sticker")
        for ground in ("on white", "on a white background")
    }
    assert "stickers of two foxes on an orange background" in {
        caption(replace(STICKER, thing="fox", count=2, backdrop="orange"), Random(number)) for number in range(40)
    }


@pytest.mark.parametrize(
    ("icon", "one", "many"),
    [("owl", "an owl", "owls"), ("fox", "a fox", "foxes"), ("goose", "a goose", "geese"), ("unicorn", "a unicorn", ""),
     ("wolf", "a wolf", "wolves"), ("red-apple", "an apple", "apples"), ("butterfly", "a butterfly", "butterflies")],
)  # fmt: skip
def test_nouns_are_said_as_people_say_them(icon: str, one: str, many: str) -> None:
    assert with_article(icon) == one
    assert plural(icon) == many or not many


def test_no_noun_is_named_twice() -> None:
    assert len({with_article(icon) for icon in (*OUTDOORS, *INDOORS)}) == len(OUTDOORS) + len(INDOORS) >= 300


def test_the_third_world_holds_scenes_guests_and_stickers() -> None:
    scenes = [sample_scene(Random(number), THIRD_WORLD) for number in range(2000)]
    stickers = [scene for scene in scenes if scene.backdrop]

    assert 0.35 < len(stickers) / len(scenes) < 0.45
    assert all(scene.count == 1 or scene.thing not in UNCOUNTED for scene in scenes)
    assert {scene.thing for scene in stickers} > {"fox", "red-apple"}
    assert not {scene.thing for scene in scenes if not scene.backdrop} & set(INDOORS)
    for number, scene in enumerate(scenes):
        other = variant(scene, Random(number), THIRD_WORLD)
        assert sum(getattr(scene, part) != getattr(other, part) for part in Scene.__slots__) == 1


def test_a_sticker_has_no_weather_to_be_right_about() -> None:
    assert label_of(STICKER, "time", THIRD_WORLD) == IGNORED
    assert label_of(STICKER, "backdrop", THIRD_WORLD) == THIRD_WORLD.backdrops.index("white")
    assert not is_named(STICKER, "terrain")
    assert is_named(STICKER, "thing")


def test_pairs_know_every_noun_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    wrench = replace(STICKER, thing="wrench")
    monkeypatch.setattr(pairs, "PART", 1)
    monkeypatch.setattr(pairs, "pair_of", lambda *_: (wrench, replace(wrench, count=2)))
    monkeypatch.setattr(pairs, "render", lambda *_: np.zeros((8, 8, 3), np.uint8))

    _, _, labels = pairs.draw_part(("artwork", 0, SQUARE))

    part = [*THIRD_WORLD.classes].index("thing")
    assert labels[0, :, part].tolist() == [THIRD_WORLD.classes["thing"].index("wrench")] * 2 > [127, 127]


def test_the_renderer_says_how_to_get_artwork_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artwork, "FOLDER", tmp_path / "nothing")

    with pytest.raises(ArtworkError, match="python3 -m app train artwork"):
        render(MEADOW, Random(1), 64)


def test_the_command_fetches_by_npm_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packed(tmp_path / "packed.tgz")
    npm = tmp_path / "npm"
    npm.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nfor last; do :; done\ncp {tmp_path}/packed.tgz "$last/it.tgz"\n'
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(artwork, "FOLDER", tmp_path / "artwork")
    monkeypatch.setattr(artwork.fetch, "__defaults__", ((PACKAGE,),))
    monkeypatch.setattr(artwork.draw, "__defaults__", (("fox", "red-apple"),))

    assert main(["artwork", "--folder", str(tmp_path)]) == 0

    assert (tmp_path / "asked").read_text().startswith("pack @tests/squares@1.0.0 ")
    assert np.load(tmp_path / "artwork" / "sprites.npy").shape == (2, 1, artwork.SIZE, artwork.SIZE, 4)
    assert "train all --design artwork" in capsys.readouterr().out


def test_the_command_says_why_npm_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'no such version' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(artwork, "FOLDER", tmp_path / "artwork")

    assert main(["artwork", "--folder", str(tmp_path)]) == 2

    assert "no such version" in capsys.readouterr().err
