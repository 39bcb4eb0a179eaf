"""Checkpoints of the hub, from a small hub on this machine, through huggingface_hub's own cache."""

from __future__ import annotations

import os
import time
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest

from app.places import HubName
from app.services.hub import Fetched, HubError, choose, fetch
from models.checkpoint.facts import WEIGHTS
from tests.app.small_hub import SmallHub

NAME = HubName("some/one", None)


def _ignore(done: int, total: int) -> None:
    assert done <= total


def get(served: SmallHub, cache: Path, name: HubName = NAME, **options: Any) -> Fetched:
    return fetch(name, options.pop("note", _ignore), endpoint=served.url, cache=cache, **options)


def test_only_what_the_networks_need_is_fetched(served: SmallHub, tmp_path: Path) -> None:
    fetched = get(served, tmp_path / "cache")
    assert fetched.name == f"some/one@{served.commit}"
    wanted = {
        *WEIGHTS,
        *("model_index.json", "mezzotint.json", "unet/config.json", "vae/config.json", "text_encoder/config.json"),
        *("scheduler/scheduler_config.json", "tokenizer/merges.txt"),
    }
    assert set(served.fetched()) == wanted
    assert {str(file.relative_to(fetched.path)) for file in fetched.path.rglob("*") if file.is_file()} == wanted
    assert (fetched.path / WEIGHTS[0]).read_bytes() == served.files[WEIGHTS[0]]


def test_a_revision_becomes_its_commit_and_is_not_fetched_twice(served: SmallHub, tmp_path: Path) -> None:
    first = get(served, tmp_path, HubName("some/one", "v1"))
    served.asked.clear()
    assert get(served, tmp_path, HubName("some/one", served.commit)) == first
    assert served.asked == []


def test_progress_is_told_in_bytes(served: SmallHub, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    get(served, tmp_path, note=lambda done, total: heard.append((done, total)))
    total = sum(len(served.files[name]) for name in served.fetched())
    assert heard == sorted(heard)
    assert heard[-1] == (total, total)
    heard.clear()
    get(served, tmp_path, note=lambda done, total: heard.append((done, total)))
    assert heard[-1] == (total, total), "what is in the cache counts as done"


def test_an_interrupted_download_is_nothing_half_and_goes_on_where_it_was(served: SmallHub, tmp_path: Path) -> None:
    class Enough(Exception):  # noqa: N818
        pass

    def stop(done: int, total: int) -> None:  # noqa: ARG001
        if done > 20_000:
            raise Enough

    with pytest.raises(Enough):
        get(served, tmp_path, note=stop)
    (snapshot,) = (tmp_path / "models--some--one" / "snapshots").iterdir()
    assert not (snapshot / WEIGHTS[0]).exists()
    served.asked.clear()
    fetched = get(served, tmp_path)
    assert (fetched.path / WEIGHTS[0]).read_bytes() == served.files[WEIGHTS[0]]
    assert set(served.fetched()) == set(WEIGHTS), "whole files are not fetched again"


def test_what_a_killed_process_left_is_removed_once_it_is_old(served: SmallHub, tmp_path: Path) -> None:
    blobs = get(served, tmp_path).path.parent.parent / "blobs"
    old, new = blobs / "old.12345678.incomplete", blobs / "new.12345678.incomplete"
    old.write_bytes(b"part")
    new.write_bytes(b"part")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    get(served, tmp_path)
    assert [path.name for path in blobs.glob("*.incomplete")] == [new.name]


def test_a_broken_connection_is_taken_up_where_it_broke(served: SmallHub, tmp_path: Path) -> None:
    served.cut_at[WEIGHTS[0]] = 40_960
    fetched = get(served, tmp_path)
    assert (fetched.path / WEIGHTS[0]).read_bytes() == served.files[WEIGHTS[0]]
    assert f"GET /some/one/resolve/{served.commit}/{WEIGHTS[0]} from 40960" in served.asked


def test_weights_of_sixteen_bits_are_taken_when_they_are_wanted_or_alone(repository_files: dict[str, bytes]) -> None:
    sizes = {name: len(content) for name, content in repository_files.items()}
    half = "unet/diffusion_pytorch_model.fp16.safetensors"
    assert half in choose(NAME, sizes, prefers_half=True)
    assert WEIGHTS[0] not in choose(NAME, sizes, prefers_half=True)
    del sizes[WEIGHTS[0]]
    assert half in choose(NAME, sizes, prefers_half=False)


def test_shards_come_with_their_index(repository_files: dict[str, bytes]) -> None:
    sizes = {name: len(content) for name, content in repository_files.items() if not name.startswith("unet/diff")}
    shards = [f"unet/diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = "unet/diffusion_pytorch_model.safetensors.index.json"
    chosen = choose(NAME, {**sizes, **dict.fromkeys([*shards, index], 9)}, prefers_half=False)
    assert {*shards, index} <= set(chosen)


@pytest.mark.usefixtures("patient")
def test_a_repository_of_one_file_gives_that_file(tmp_path: Path) -> None:
    with SmallHub({"v1.safetensors": b"weights", "v1.yaml": b"model:", "v1.ckpt": b"pickle"}) as served:
        fetched = get(served, tmp_path)
        assert fetched.path.name == "v1.safetensors"
        assert served.fetched() == ["v1.safetensors", "v1.yaml"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda files: files.pop("model_index.json"), "has no weights|put it into a folder"),
        (lambda files: files.update({"two.safetensors": b"", "model_index.json": None}), "2 files of weights"),
        (
            lambda files: [files.pop(name) for name in list(files) if name.startswith("unet/diff")],
            "no safetensors weights in unet/, and pickles are never opened",
        ),
    ],
)
def test_a_repository_that_does_not_fit_is_explained(
    repository_files: dict[str, bytes], change: Any, words: str
) -> None:
    files = dict(repository_files)
    files.pop("one-pruned.safetensors") if "2 files" not in words else None
    change(files)
    sizes = {name: len(content) for name, content in files.items() if content is not None}
    with pytest.raises(HubError, match=words):
        choose(NAME, sizes, prefers_half=False)


@pytest.mark.parametrize(
    ("name", "change", "words", "is_passing"),
    [
        ("not/there", {}, "There is no not/there on the hub", False),
        ("some/one@v9", {}, "has no revision 'v9'", False),
        ("some/one", {"is_gated": True}, "private or gated", False),
        ("some/one", {"status": 500}, "cannot be reached", True),
        ("some/one", {"status": 418}, "cannot be reached|refuses", True),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_sentence(
    served: SmallHub, tmp_path: Path, name: str, change: dict[str, Any], words: str, is_passing: bool
) -> None:
    vars(served).update(change)
    wanted = HubName.parse(name)
    assert wanted is not None
    with pytest.raises(HubError, match=words) as refusal:
        get(served, tmp_path, wanted)
    assert refusal.value.is_passing is is_passing


def test_a_full_disk_is_said_and_waited_for(served: SmallHub, tmp_path: Path) -> None:
    def fill(_done: int, _total: int) -> None:
        raise OSError(ENOSPC, "No space left on device")

    with pytest.raises(HubError, match=r"some/one cannot be kept \(No space left on device\); see to the disk") as full:
        get(served, tmp_path, note=fill)
    assert full.value.is_passing


@pytest.mark.usefixtures("patient")
def test_without_a_network_the_cache_is_enough(repository_files: dict[str, bytes], tmp_path: Path) -> None:
    with SmallHub(repository_files) as served:
        here = get(served, tmp_path)
    assert get(_gone(served), tmp_path) == here
    with pytest.raises(HubError, match="cannot be reached") as refusal:
        get(_gone(served), tmp_path / "empty")
    assert refusal.value.is_passing


def _gone(served: SmallHub) -> Any:
    class Gone:
        url = "http://127.0.0.1:9"
        files = served.files

    return Gone()


def test_offline_mode_asks_nobody(served: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    here = get(served, tmp_path)
    served.asked.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert get(served, tmp_path) == here
    with pytest.raises(HubError, match="HF_HUB_OFFLINE forbids") as refusal:
        get(served, tmp_path / "empty")
    assert not refusal.value.is_passing
    assert served.asked == []


def test_a_part_of_a_cache_is_not_enough_offline(
    served: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    here = get(served, tmp_path)
    (here.path / WEIGHTS[1]).unlink()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="not all of it"):
        get(served, tmp_path)
