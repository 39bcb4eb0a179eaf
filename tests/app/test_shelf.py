"""Loading and evicting for real, in the shelf's own thread, under an engine that is stepped by the test."""

from __future__ import annotations

import gc
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import torch

from app.engine.shelf import paths_of
from app.engine.task import Failed, Finished
from app.engine.worker import Worker
from app.places import EMBEDDED
from models.bundle import Bundle
from models.checkpoint.headers import told
from models.checkpoint.loading import load
from tests.app.fake_bundle import Heard
from tests.app.shelving import PATIENCE_SECONDS, Bench, Loader


@pytest.fixture(autouse=True)
def logged() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def frozen() -> None:
    """Spare the collector, which a switch calls, everything that was there before."""
    gc.collect()
    gc.freeze()


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


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "There is not enough memory to load a; try it again later"),
        (KeyError("unforeseen"), "a could not be loaded; the log has the details."),
        (OSError(13, "Permission denied"), "a cannot be read (Permission denied)"),
    ],
    ids=["memory", "unforeseen", "disk"],
)
def test_one_that_could_not_be_loaded_for_now_is_loaded_for_the_next_job(
    loader: Loader, paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fails(name: str, path: Path) -> Bundle:
        loader.loads.append(name)
        with told(path):
            raise error

    bench = Bench(loader, paths, room=2)
    with monkeypatch.context() as patch:
        patch.setattr(loader, "load", fails)
        first, second = bench.draw("a", "a")
    assert loader.loads == ["a"]
    for heard in (first, second):
        assert isinstance(heard.last, Failed)
        assert heard.last.code == "checkpoint"
        assert heard.last.message.startswith(message)
    task = weakref.ref(first.task)
    del first, second, heard
    gc.collect()
    assert task() is None, "what failed holds nobody who was told"
    (third,) = bench.draw("a")
    assert isinstance(third.last, Finished)


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
