"""Loading and evicting for real, in the shelf's own thread, under an engine that is stepped by the test."""

from __future__ import annotations

import gc
import shutil
import threading
import weakref
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import structlog
import torch

from app.engine.engine import Engine
from app.engine.residency import Residency
from app.engine.shelf import Shelf, paths_of
from app.engine.task import Failed, Finished
from app.engine.worker import Worker
from app.places import EMBEDDED
from models.bundle import Bundle
from models.checkpoint.facts import CheckpointError
from models.checkpoint.loading import load
from tests.app.fake_bundle import Heard

PATIENCE_SECONDS = 20.0


@pytest.fixture(autouse=True)
def logged() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def frozen() -> None:
    """Spare the collector, which a switch calls, everything that was there before."""
    gc.collect()
    gc.freeze()


@dataclass
class Loader:
    """Gives a copy of a bundle, whatever the path, and counts; a path named `bad` cannot be loaded."""

    source: Bundle
    loads: list[str] = field(default_factory=list)
    frees: int = 0

    def load(self, name: str, path: Path) -> Bundle:
        self.loads.append(name)
        if path.name == "bad":
            raise CheckpointError(f"{path} is bad; take another one")
        return replace(self.source, name=name, unet=deepcopy(self.source.unet), vae=deepcopy(self.source.vae))

    @property
    def size(self) -> int:
        return self.source.bytes

    def estimate(self, path: Path) -> int:  # noqa: ARG002
        return self.size

    def free(self) -> None:
        self.frees += 1


class Bench:
    """A shelf for checkpoints of one size, of which `room` fit, and an engine before it.

    At work each grows to less than twice its size: weights in oneDNN's order are kept, and prompts remembered.
    """

    def __init__(self, loader: Loader, paths: dict[str, Path], room: int) -> None:
        self.changed = threading.Event()
        self.residency = Residency((2 * room - 1) * loader.size)
        self.shelf = Shelf(paths, loader, self.residency, self.changed.set)
        self.engine = Engine(self.shelf.get, plan=self.shelf.plan)

    def draw(self, *names: str) -> list[Heard]:
        """Have one picture made of each checkpoint, in the order of `names`."""
        size = {"width": 64, "height": 64, "steps": 1, "guidance_scale": 1}
        heard = [Heard(checkpoint=name, **size) for name in names]
        for each in heard:
            self.engine.submit(each.task)
        while self.engine.running:
            self.changed.clear()
            if not self.engine.step() and self.engine.running:
                assert self.changed.wait(PATIENCE_SECONDS), self.shelf.describe()
        return heard

    def states(self) -> dict[str, str]:
        said = self.shelf.describe()
        assert {entry["name"] for entry in said if entry["prediction_type"]} == {
            entry["name"] for entry in said if entry["state"] == "ready"
        }
        return {entry["name"]: entry["state"] for entry in said}


@pytest.fixture(scope="module")
def source(tiny_checkpoint: Path) -> Bundle:
    return load(tiny_checkpoint)


@pytest.fixture
def loader(source: Bundle) -> Loader:
    return Loader(source)


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    for name in ("a", "b", "c", "bad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(name)
    return {name: tmp_path / name for name in ("a", "b", "c", "bad")}


def test_what_is_in_memory_is_weighed_anew_when_something_else_wants_in(loader: Loader, paths: dict[str, Path]) -> None:
    bench = Bench(loader, paths, room=2)
    bench.residency.budget = 2 * loader.size
    bench.draw("a")
    assert bench.residency.used == loader.size
    grown = next(entry["bytes"] for entry in bench.shelf.describe() if entry["name"] == "a")
    assert loader.size < grown < 2 * loader.size  # by the prompt, and by weights in oneDNN's order
    bench.draw("b")
    assert bench.states() == {"a": "available", "b": "ready", "c": "available", "bad": "available"}
    assert bench.residency.used == loader.size


def test_the_size_of_a_bundle_is_that_of_its_tensors(tiny_checkpoint: Path, source: Bundle) -> None:
    files = sum(file.stat().st_size for file in tiny_checkpoint.rglob("*.safetensors"))
    assert 0.9 * files < source.bytes <= files


def test_checkpoints_that_fit_stay_and_others_take_turns(loader: Loader, paths: dict[str, Path]) -> None:
    bench = Bench(loader, paths, room=2)
    assert all(isinstance(heard.last, Finished) for heard in bench.draw("a", "b", "a", "b"))
    assert loader.loads == ["a", "b"]
    bench.draw("c")
    assert bench.states() == {"a": "available", "b": "ready", "c": "ready", "bad": "available"}
    grown = bench.shelf.describe()[1]["bytes"]  # b's, which has drawn; c came in with its size
    assert bench.shelf.memory() == {"used": grown + loader.size, "budget": 3 * loader.size}
    bench.draw("b", "c")
    assert loader.loads == ["a", "b", "c"]


def test_memory_after_fifty_switches_is_what_it_was_after_five(
    frozen: None,  # noqa: ARG001
    loader: Loader,
    paths: dict[str, Path],
) -> None:
    bench = Bench(loader, paths, room=1)
    bytes_after: dict[int, int] = {}
    for number in range(1, 51):
        (heard,) = bench.draw("ab"[number % 2])
        assert isinstance(heard.last, Finished)
        del heard
        if number in (5, 50):
            bytes_after[number] = _tensor_bytes()
    assert len(loader.loads) == loader.frees == 50
    assert bytes_after[50] <= bytes_after[5]
    assert bytes_after[50] < 2.5 * loader.size, "the source's, the new one, and of the old one nothing"


def test_an_engine_whose_default_has_left_works_on(tiny_checkpoint: Path) -> None:
    worker = Worker({"a": tiny_checkpoint, "b": tiny_checkpoint}, device="cpu", dtype="float32")
    assert worker.status()["state"] == "loading"
    for name in ("a", "b", "a"):  # of which the memory of no bytes holds one
        worker._wake.clear()
        worker._shelf.plan([name], set())
        assert worker._wake.wait(PATIENCE_SECONDS)
        states = {entry["name"]: entry["state"] for entry in worker.status()["checkpoints"]}
        assert states[name] == "ready"
        assert list(states.values()).count("ready") == 1
        assert worker.status()["state"] == "ready"


def _tensor_bytes() -> int:
    """Bytes of all tensors that are reachable, or wait for the collector."""
    tensors = [item for item in gc.get_objects() if issubclass(type(item), torch.Tensor)]
    places = {id(tensor) if tensor.is_mkldnn else tensor.data_ptr(): tensor.nbytes for tensor in tensors}
    return sum(places.values())


def test_a_bad_one_fails_its_jobs_and_is_tried_again_when_its_files_change(
    loader: Loader, paths: dict[str, Path]
) -> None:
    bench = Bench(loader, paths, room=2)
    bad, good = bench.draw("bad", "a")
    assert isinstance(bad.last, Failed)
    assert bad.last.message == "bad is bad; take another one", "without where it lies"
    assert isinstance(good.last, Finished)
    bench.draw("bad")
    assert loader.loads.count("bad") == 1
    assert said(bench, "bad") == ("failed", "bad is bad; take another one")
    (paths["bad"] / "weights").write_text("another content")
    assert said(bench, "bad") == ("available", None)
    bench.draw("bad")
    assert loader.loads.count("bad") == 2


def said(bench: Bench, name: str) -> tuple[str, str | None]:
    """State and error of a checkpoint, as the shelf describes it."""
    (found,) = (entry for entry in bench.shelf.describe() if entry["name"] == name)
    return found["state"], found["error"]


def test_one_that_is_being_measured_does_not_stay_for_that(tiny_checkpoint: Path) -> None:
    worker = Worker({"a": tiny_checkpoint}, device="cpu", dtype="float32")
    worker._prepare()
    assert worker._wake.wait(PATIENCE_SECONDS), "it is loaded"
    assert worker._measure(), "a search has begun"
    measured = weakref.ref(worker._shelf.get("a").unet)  # type: ignore[union-attr]
    waits = Heard(checkpoint="a", width=64, height=64, steps=1, guidance_scale=1)
    worker.submit(waits.task)
    worker._shelf.put("a", tiny_checkpoint.parent / "nowhere")  # what is known under its name is let go
    assert worker._engine is not None
    worker._step(worker._engine)
    gc.collect()
    assert measured() is None
    assert not worker._measure(), "while a job waits nothing is measured"


def test_the_next_one_is_not_loaded_while_somebody_still_holds_the_last(
    loader: Loader, paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(loader, paths, room=1)
    (last,) = bench.draw("a")
    assert isinstance(last.last, Finished)
    held, seen = weakref.ref(last.last.bundle.unet), list[bool]()
    collect = gc.collect

    def looked() -> int:
        seen.append(held() is not None)
        if len(seen) == 2:
            last.events.clear()  # the picture has left
        return collect()

    monkeypatch.setattr("app.engine.shelf.gc.collect", looked)
    load = loader.load

    def loading(name: str, path: Path) -> Bundle:
        seen.append(held() is not None)
        return load(name, path)

    monkeypatch.setattr(loader, "load", loading)
    bench.draw("b")
    assert (seen[0], seen[-1]) == (True, False), "it was held when the switch began, and gone when the next was loaded"


def test_it_does_not_wait_for_ever_for_one_to_be_gone(
    loader: Loader, paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.shelf.LEAVE_SECONDS", 0.0)
    bench = Bench(loader, paths, room=1)
    (kept,) = bench.draw("a")
    (second,) = bench.draw("b")
    assert isinstance(second.last, Finished)
    assert isinstance(kept.last, Finished)


def test_one_whose_files_were_replaced_is_loaded_anew(loader: Loader, paths: dict[str, Path]) -> None:
    bench = Bench(loader, paths, room=2)
    bench.draw("a")
    bench.shelf.put("a", paths["a"])
    bench.draw("a")
    assert loader.loads == ["a"]
    (paths["a"] / "weights").write_text("another content")
    bench.shelf.put("a", paths["a"])
    bench.draw("a")
    assert loader.loads == ["a", "a"]


def test_it_learns_of_new_ones_while_it_works(loader: Loader, paths: dict[str, Path]) -> None:
    bench = Bench(loader, {"a": paths["a"]}, room=1)
    assert "new" not in bench.shelf
    bench.shelf.put("new", paths["b"])
    (heard,) = bench.draw("new")
    assert isinstance(heard.last, Finished)
    assert heard.last.bundle.name == "new"


def test_names_on_the_command_line_may_be_given_and_are_those_of_files(tmp_path: Path) -> None:
    file = tmp_path / "v1-5.safetensors"
    shutil.copy(__file__, file)
    commit = "0" * 40
    found = paths_of([str(file), f"mine={file}", f"org/name@{commit}={file}"])
    assert list(found) == ["v1-5", "mine", f"org/name@{commit}", EMBEDDED]
    assert found["mine"] == found[f"org/name@{commit}"] == file
    with pytest.raises(ValueError, match="two checkpoints are called 'mine'"):
        paths_of([f"mine={file}", f"mine={tmp_path}"])
