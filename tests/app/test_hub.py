"""Checkpoints of the hub, from a small hub on this machine, through huggingface_hub's own cache."""

from __future__ import annotations

import functools
import os
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from app.places import HubName, default_place
from app.services import downloads, hub
from app.services.catalogue import Catalogue
from app.services.errors import ServiceError
from app.services.hub import Fetched, HubError, choose, fetch
from app.services.request import JobRequest
from models.checkpoint.facts import WEIGHTS
from tests.app.small_hub import SmallHub
from tests.app.storing import settings
from tests.app.test_services_catalogue import CARD, checkpoint

NAME = HubName("some/one", None)
EXTRA = {
    "README.md": b"read me",
    "unet/diffusion_pytorch_model.bin": b"pickle",
    "unet/diffusion_pytorch_model.fp16.safetensors": b"half",
    "unet/diffusion_flax_model.msgpack": b"flax",
    "safety_checker/model.safetensors": b"safety",
    "one-pruned.safetensors": b"single",
    "pipeline.py": b"raise SystemExit",
    "tokenizer/merges.txt": b"#version",
    "tokenizer/evil.py": b"raise SystemExit",
}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub not wait before it tries again, read small pieces, and go through no proxy."""
    import huggingface_hub.constants

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    hasty = types.SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})  # noqa: ARG005
    monkeypatch.setattr("huggingface_hub.file_download.time", hasty)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 4096)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """A whole checkpoint, and beside it all that repositories hold and we do not want."""
    folder = checkpoint(tmp_path / "source", CARD)
    for name, size in zip(WEIGHTS, (100_000, 200, 300), strict=True):
        (folder / name).write_bytes(_weights(size))
    found = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    return found | EXTRA


@pytest.fixture
def served(files: dict[str, bytes]) -> Iterator[SmallHub]:
    with SmallHub(files) as server:
        yield server


def _weights(size: int) -> bytes:
    header = b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (size, size)
    return len(header).to_bytes(8, "little") + header + bytes(size)


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


def test_weights_of_sixteen_bits_are_taken_when_they_are_wanted_or_alone(files: dict[str, bytes]) -> None:
    sizes = {name: len(content) for name, content in files.items()}
    half = "unet/diffusion_pytorch_model.fp16.safetensors"
    assert half in choose(NAME, sizes, prefers_half=True)
    assert WEIGHTS[0] not in choose(NAME, sizes, prefers_half=True)
    del sizes[WEIGHTS[0]]
    assert half in choose(NAME, sizes, prefers_half=False)


def test_shards_come_with_their_index(files: dict[str, bytes]) -> None:
    sizes = {name: len(content) for name, content in files.items() if not name.startswith("unet/diff")}
    shards = [f"unet/diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = "unet/diffusion_pytorch_model.safetensors.index.json"
    chosen = choose(NAME, {**sizes, **dict.fromkeys([*shards, index], 9)}, prefers_half=False)
    assert {*shards, index} <= set(chosen)


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
def test_a_repository_that_does_not_fit_is_explained(files: dict[str, bytes], change: Any, words: str) -> None:
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


def test_without_a_network_the_cache_is_enough(files: dict[str, bytes], tmp_path: Path) -> None:
    with SmallHub(files) as served:
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


class Server:
    """A catalogue whose default comes from the small hub."""

    def __init__(self, served: SmallHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = functools.partial(fetch, endpoint=served.url, cache=folder / "cache")
        monkeypatch.setattr(hub, "fetch", real)
        monkeypatch.setattr(downloads, "PAUSES", (0.01,))
        self.settings = settings(folder / "data", checkpoint="some/one")
        self.settings.data.mkdir(exist_ok=True)
        self.catalogue = Catalogue(self.settings)

    def wait(self, state: str | None) -> None:
        for _ in range(2000):
            if [download.state for download in self.catalogue.downloads] == ([state] if state else []):
                return
            threading.Event().wait(0.01)
        raise AssertionError(self.catalogue.downloads)


@pytest.fixture
def server(served: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(served, tmp_path, monkeypatch)
    with structlog.testing.capture_logs():
        yield server
        server.catalogue.close()


def test_the_default_is_fetched_while_the_others_are_served(server: Server, served: SmallHub) -> None:
    may_go_on, is_there = threading.Event(), threading.Event()

    def pause(name: str) -> None:
        if name == WEIGHTS[0]:
            is_there.set()
            may_go_on.wait(20)

    served.pause = pause
    server.catalogue.start()
    assert is_there.wait(20)
    (download,) = server.catalogue.downloads
    assert (download.name, download.state) == ("some/one", "running")
    assert 0 < download.done < download.total
    assert [facts.name for facts in server.catalogue.checkpoints()] == ["embedded"]
    with pytest.raises(ServiceError, match="is being downloaded") as refusal:
        JobRequest(prompt="sunset").recipes(server.catalogue)
    assert refusal.value.status == 503
    may_go_on.set()
    server.wait(None)
    (made,) = JobRequest(prompt="sunset").recipes(server.catalogue)
    assert made.checkpoint == f"some/one@{served.commit}"
    assert server.catalogue.get("some/one").name == made.checkpoint
    assert server.catalogue.get(None).title == "Small landscapes"


def test_the_next_start_needs_no_hub(server: Server, served: SmallHub) -> None:
    server.catalogue.start()
    server.wait(None)
    served.asked.clear()
    again = Catalogue(server.settings)
    assert again.default.name == f"some/one@{served.commit}"
    assert served.asked == []
    place = default_place(server.settings)
    assert place is not None
    assert place[1] == again.path_of(again.default.name)


def test_a_hub_that_is_away_is_asked_again(server: Server, served: SmallHub) -> None:
    served.status = 503
    server.catalogue.start()
    server.wait("waiting")
    (download,) = server.catalogue.downloads
    assert "tried again" in str(download.error)
    served.status = 200
    server.wait(None)
    assert server.catalogue.default.name == f"some/one@{served.commit}"


def test_a_checkpoint_that_cannot_be_used_is_explained(server: Server, served: SmallHub) -> None:
    served.files["unet/config.json"] = b"{"
    server.catalogue.start()
    server.wait("failed")
    (download,) = server.catalogue.downloads
    assert "unet/config.json" in str(download.error)
    with pytest.raises(ServiceError, match="cannot be used"):
        _ = server.catalogue.default


def test_a_command_fetches_at_once(server: Server, served: SmallHub) -> None:
    server.catalogue.fetch()
    assert server.catalogue.default.name == f"some/one@{served.commit}"
    served.status = 500
    other = Catalogue(server.settings.model_copy(update={"checkpoint": "some/one@v1"}))
    served.files.clear()
    with pytest.raises(ServiceError, match="cannot be reached"):
        other.fetch()
