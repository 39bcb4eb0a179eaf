"""Finding checkpoints and naming them, from directory listings alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from app.places import (
    EMBEDDED,
    HubName,
    default_place,
    embedded_path,
    hub_file,
    look,
    name_all,
    public,
    short_name,
)
from app.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def settings_for(folder: Path, **changes: object) -> Settings:
    return Settings.model_validate({"data": folder.parent / "data", "checkpoints": [folder], **changes})


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


def found(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in look(settings_for(folder)).paths]


def test_files_and_folders_are_found_at_any_depth_the_nearest_first(folder: Path) -> None:
    touch(folder / "a/deep/one.safetensors", folder / "two.SAFETENSORS", folder / "old.ckpt", folder / "notes.txt")
    touch(folder / "one.pt", folder / "weights.bin", folder / "model.gguf")
    touch(folder / "b/three/model_index.json", folder / "b/three/unet/diffusion_pytorch_model.safetensors")
    assert found(folder) == [
        "old.ckpt",
        "one.pt",
        "two.SAFETENSORS",
        "weights.bin",
        "b/three",
        "a/deep/one.safetensors",
    ]


def test_a_folder_without_its_index_is_one_checkpoint_and_not_many_files(folder: Path) -> None:
    touch(folder / "half/unet/diffusion_pytorch_model.safetensors", folder / "half/vae/config.json")
    assert found(folder) == ["half"]


def test_hidden_folders_are_left_out(folder: Path) -> None:
    touch(folder / ".cache/one.safetensors", folder / ".two.safetensors")
    assert found(folder) == []


def test_links_in_a_circle_end_and_links_to_the_same_file_count_once(folder: Path) -> None:
    touch(folder / "a/one.safetensors")
    (folder / "a/up").symlink_to(folder)
    (folder / "a/itself").symlink_to(folder / "a/itself")
    (folder / "again.safetensors").symlink_to(folder / "a/one.safetensors")
    assert len(found(folder)) == 1


def test_what_is_called_like_a_checkpoint_and_is_none_is_listed_so_that_its_owner_hears_of_it(folder: Path) -> None:
    (folder / "gone.safetensors").symlink_to(folder / "nothing")
    (folder / "loop.safetensors").symlink_to(folder / "loop.safetensors")
    (folder / "folder.safetensors").mkdir()
    assert found(folder) == ["folder.safetensors", "gone.safetensors", "loop.safetensors"]
    assert public(f"{folder}/loop.safetensors is bad", "loop", folder / "loop.safetensors") == "loop.safetensors is bad"
    settings = settings_for(folder, checkpoint=str(folder / "loop.safetensors"))
    assert default_place(settings) == ("loop", folder / "loop.safetensors")


def test_a_linked_file_outside_is_found(folder: Path, tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere/blob")
    (folder / "linked.safetensors").symlink_to(tmp_path / "elsewhere/blob")
    assert found(folder) == ["linked.safetensors"]


def test_a_pile_too_deep_is_not_climbed(folder: Path) -> None:
    touch(folder / "/".join("123456789") / "one.safetensors", folder / "/".join("12345678") / "two.safetensors")
    assert [Path(path).name for path in found(folder)] == ["two.safetensors"]


def test_a_missing_folder_is_named_and_the_others_are_looked_through(folder: Path, tmp_path: Path) -> None:
    touch(folder / "one.safetensors")
    missing = tmp_path / "missing"
    looked = look(Settings(data=tmp_path / "data", checkpoints=[missing, folder]))
    assert [path.name for path in looked.paths] == ["one.safetensors"]
    assert list(looked.problems) == [missing]
    assert "create this folder" in looked.problems[missing]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_passed_over(folder: Path) -> None:
    touch(folder / "one.safetensors", folder / "secret/two.safetensors")
    (folder / "secret").chmod(0)
    assert found(folder) == ["one.safetensors"]


def test_names_are_stems_and_collisions_get_a_number_pickles_last() -> None:
    paths = [Path("/x/v1-5.safetensors"), Path("/y/v1-5.ckpt"), Path("/z/v1-5"), Path("/x/embedded.safetensors")]
    assert name_all(paths, {}) == {
        "v1-5": paths[0],
        "v1-5-2": paths[2],
        "v1-5-3": paths[1],
        "embedded-2": paths[3],
    }


def test_a_name_that_is_taken_stays_with_its_file() -> None:
    new, old = Path("/a/v1-5.safetensors"), Path("/b/v1-5.safetensors")
    assert name_all([new, old], {"v1-5": old}) == {"v1-5-2": new, "v1-5": old}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/x/sd-v1-4.full.safetensors", "sd-v1-4.full"),
        ("/x/folder.v2", "folder.v2"),
        ("/x/tab\there@home.ckpt", "tab_here_home"),
        ("/x/" + "n" * 220 + ".safetensors", "n" * 180),
    ],
)
def test_short_names(path: str, name: str) -> None:
    assert short_name(Path(path)) == name


def test_the_default_is_a_path_then_a_name_then_one_of_the_hub(folder: Path) -> None:
    touch(folder / "deep/v1-5.safetensors")
    by_path = settings_for(folder, checkpoint=str(folder / "deep/v1-5.safetensors"))
    assert default_place(by_path) == ("v1-5", folder / "deep/v1-5.safetensors")
    assert default_place(settings_for(folder, checkpoint="v1-5")) == ("v1-5", folder / "deep/v1-5.safetensors")
    assert default_place(settings_for(folder, checkpoint=EMBEDDED)) == (EMBEDDED, embedded_path())
    assert default_place(settings_for(folder, checkpoint="some/one")) is None
    assert default_place(settings_for(folder, checkpoint="/no/such")) == ("such", Path("/no/such"))


def test_one_of_the_hub_is_known_as_long_as_it_is_there(folder: Path) -> None:
    settings = settings_for(folder, checkpoint="some/one")
    place = {"name": f"some/one@{'a' * 40}", "path": str(folder)}
    settings.data.mkdir()
    hub_file(settings).write_text(json.dumps({"some/one": place}))
    assert default_place(settings) == (place["name"], folder)
    folder.rmdir()
    assert default_place(settings) is None
    hub_file(settings).write_text("[damaged")
    assert default_place(settings) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("org/name", HubName("org/name", None)),
        ("org/name@v1.0", HubName("org/name", "v1.0")),
        ("org/name@refs/pr/3", HubName("org/name", "refs/pr/3")),
        ("name", None),
        ("/org/name", None),
        ("../name", None),
        ("org/name/file", None),
        ("org/na me", None),
        ("org/name@../../x", None),
    ],
)
def test_names_of_the_hub(text: str, name: HubName | None) -> None:
    assert HubName.parse(text) == name


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/m/sd 1/dreams is truncated; copy it again", "dreams is truncated; copy it again"),
        ("/m/sd 1/dreams/unet/config.json is missing", "dreams/unet/config.json is missing"),
        ("/m/sd 1/dreams is a VAE alone; give its folder, /m/sd 1", "dreams is a VAE alone; give its folder, sd 1"),
        ("convert it: python3 -m app checkpoints convert '/m/sd 1/dreams'", None),
        ("7/8 of dreams / nothing else", "7/8 of dreams / nothing else"),
    ],
)
def test_a_sentence_for_visitors_does_not_say_where_a_checkpoint_lies(text: str, wanted: str | None) -> None:
    said = public(text, "dreams", Path("/m/sd 1/dreams"))
    assert said == (wanted or "convert it: python3 -m app checkpoints convert 'dreams'")


def test_one_of_the_hub_is_called_by_its_name_there() -> None:
    name, place = f"org/name@{'0' * 40}", Path("/cache/models--org--name/snapshots") / ("0" * 40)
    assert public(f"{place}/unet/config.json is missing", name, place) == f"{name}/unet/config.json is missing"


def test_a_path_through_a_link_is_not_said_either(tmp_path: Path) -> None:
    (tmp_path / "real/dreams").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    said = public(f"{tmp_path}/real/dreams/a is bad, {tmp_path}/link/dreams/b too", "dreams", tmp_path / "link/dreams")
    assert said == "dreams/a is bad, dreams/b too"
