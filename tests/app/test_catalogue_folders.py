"""Many checkpoints in folders, good and bad, that come, go and change while the catalogue is in use."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.places import look
from app.services import hashes
from app.services.catalogue import Catalogue
from app.services.errors import InvalidInput, ServiceError
from app.services.hashes import Hashes
from app.services.request import JobRequest
from models.checkpoint.facts import UNET_WEIGHTS
from tests.app.storing import settings
from tests.app.test_services_catalogue import CARD, checkpoint

LONG_AGO = time.time() - 3600.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def catalogue(folder: Path, tmp_path: Path) -> Iterator[Catalogue]:
    catalogue = Catalogue(settings(tmp_path, checkpoints=[folder]))
    yield catalogue
    catalogue.close()


def names(catalogue: Catalogue) -> list[str]:
    return [facts.name for facts in catalogue.checkpoints()]


def age(path: Path) -> None:
    """Make all files of a folder, or one file, an hour old."""
    for file in [path, *path.rglob("*")]:
        os.utime(file, (LONG_AGO, LONG_AGO))


def test_what_lies_in_the_folders_can_be_asked_for_by_name(folder: Path, catalogue: Catalogue) -> None:
    checkpoint(folder / "people/portraits", CARD)
    (made,) = JobRequest(prompt="sunset", checkpoint="portraits").recipes(catalogue)
    assert (made.checkpoint, made.steps, made.width) == ("portraits", 12, 192)
    assert catalogue.default.name == "embedded"
    assert catalogue.path_of("portraits") == folder / "people/portraits"
    assert catalogue.path_of("nobody") is None


def test_the_folder_of_the_data_needs_no_setting(tmp_path: Path) -> None:
    own = settings(tmp_path)
    checkpoint(own.own_checkpoints / "mine")
    assert "mine" in names(Catalogue(own))


def test_a_default_out_of_the_folders_is_named_by_its_name_and_listed_once(folder: Path, tmp_path: Path) -> None:
    checkpoint(folder / "portraits")
    for wanted in ("portraits", str(folder / "portraits")):
        catalogue = Catalogue(settings(tmp_path, checkpoints=[folder], checkpoint=wanted))
        assert catalogue.default.name == "portraits"
        assert names(catalogue) == ["portraits", "embedded"]


def test_bad_files_are_listed_with_a_reason_and_harm_nobody(folder: Path, catalogue: Catalogue) -> None:
    checkpoint(folder / "good")
    (folder / "noise.safetensors").write_bytes(os.urandom(4096))
    (folder / "pickle.safetensors").write_bytes(b"\x80\x04\x95" + bytes(64))
    (folder / "old.ckpt").write_bytes(b"PK\x03\x04" + bytes(64))
    (folder / "empty.safetensors").write_bytes(b"")
    assert names(catalogue) == ["embedded", "good"]
    problems = {entry.name: entry.public_problem for entry in catalogue.entries() if entry.public_problem}
    assert set(problems) == {"noise", "pickle", "old", "empty"}
    assert all(problem and str(folder) not in problem for problem in problems.values())
    assert str(problems["old"]).endswith("python3 -m app checkpoints convert old.ckpt")
    assert "pickle" in str(problems["pickle"])
    with pytest.raises(
        InvalidInput, match=r"'noise' cannot be used: noise.safetensors is .*; there is: embedded, good"
    ):
        catalogue.get("noise")


@pytest.mark.parametrize("refused", ["is_symlink", "stat"])
def test_a_default_that_may_not_be_looked_at_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    locked = tmp_path / "locked/dreams.safetensors"
    look = getattr(Path, refused)

    def refuse(path: Path, **options: bool) -> object:
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return look(path, **options)

    monkeypatch.setattr(Path, refused, refuse)
    catalogue = Catalogue(settings(tmp_path, checkpoint=str(locked)))
    assert names(catalogue) == ["embedded"]
    with pytest.raises(ServiceError, match=r"dreams.safetensors (cannot be read \(Permission denied\)|is not there); "):
        _ = catalogue.default


def test_a_fault_in_the_reading_of_one_file_stops_nothing(
    folder: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.checkpoint import facts

    checkpoint(folder / "odd")
    checkpoint(folder / "good")
    inspect = facts.inspect
    monkeypatch.setattr(facts, "inspect", lambda path: 1 / 0 if path.name == "odd" else inspect(path))
    assert names(catalogue) == ["embedded", "good"]
    assert "cannot be understood (ZeroDivisionError)" in catalogue.problems[str(folder / "odd")]


def test_new_ones_come_with_the_next_look_and_old_ones_go(folder: Path, catalogue: Catalogue) -> None:
    checkpoint(folder / "first")
    assert names(catalogue) == ["embedded", "first"]
    checkpoint(folder / "another")
    shutil.rmtree(folder / "first")
    assert names(catalogue) == ["embedded", "first"]
    catalogue.rescan()
    assert names(catalogue) == ["embedded", "another"]


@pytest.mark.skipif(os.name == "nt", reason="there are no locks on folders")
def test_a_look_clears_away_what_a_killed_conversion_left(folder: Path, catalogue: Catalogue) -> None:
    checkpoint(folder / "portraits")
    left = [folder / ".old.safetensors.4711.part", folder / "portraits/unet/.x.safetensors.4712.part"]
    for path in left:
        path.mkdir()
        (path / "half").touch()
    catalogue.rescan()
    assert not any(path.exists() for path in left)


def test_a_name_keeps_its_file_when_another_of_that_name_comes(folder: Path, catalogue: Catalogue) -> None:
    first = checkpoint(folder / "b/portraits")
    assert names(catalogue) == ["embedded", "portraits"]
    second = checkpoint(folder / "a/portraits")
    catalogue.rescan()
    assert (catalogue.path_of("portraits"), catalogue.path_of("portraits-2")) == (first, second)


def test_what_can_be_used_has_the_plain_name_beside_the_pickle_it_was_made_of(
    folder: Path, catalogue: Catalogue
) -> None:
    (folder / "portraits.ckpt").write_bytes(b"PK\x03\x04" + bytes(64))
    assert set(catalogue.problems) == {str(folder / "portraits.ckpt")}
    converted = checkpoint(folder / "portraits")
    for again in (catalogue, Catalogue(catalogue._settings)):
        again.rescan()
        assert again.path_of("portraits") == converted
        assert [entry.name for entry in again.entries()] == ["embedded", "portraits", "portraits-2"]


def test_one_that_has_vanished_is_refused_before_it_is_queued(folder: Path, catalogue: Catalogue) -> None:
    checkpoint(folder / "first")
    assert "first" in names(catalogue)
    shutil.rmtree(folder / "first")
    with pytest.raises(InvalidInput, match="first is not there; put it back"):
        JobRequest(prompt="sunset", checkpoint="first").recipes(catalogue)
    assert "first" not in names(catalogue)


def test_a_file_that_is_still_being_copied_is_taken_when_it_is_whole(folder: Path, catalogue: Catalogue) -> None:
    weights = checkpoint(folder / "coming") / UNET_WEIGHTS
    whole = weights.read_bytes()
    weights.write_bytes(whole[:5])
    (entry,) = [entry for entry in catalogue.entries() if entry.name == "coming"]
    assert entry.is_fresh
    assert "still be being copied" in str(entry.public_problem)
    weights.write_bytes(whole)
    assert "coming" in names(catalogue)


def test_one_that_is_bad_for_long_is_not_called_half_copied(folder: Path, catalogue: Catalogue) -> None:
    bad = checkpoint(folder / "bad")
    (bad / UNET_WEIGHTS).write_bytes(b"short")
    age(bad)
    (entry,) = [entry for entry in catalogue.entries() if entry.name == "bad"]
    assert not entry.is_fresh
    assert "copied" not in str(entry.public_problem)


def test_a_server_knows_its_default_before_it_has_looked_at_the_folders(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()
    monkeypatch.setattr("app.services.catalogue.look", lambda given: (may_go_on.wait(20), look(given))[1])
    checkpoint(folder / "first")
    catalogue = Catalogue(settings(tmp_path, checkpoints=[folder]))
    catalogue.start()
    try:
        assert catalogue.default.name == "embedded"
        assert catalogue.is_looking
        assert names(catalogue) == ["embedded"]
        threading.Timer(0.01, may_go_on.set).start()
        assert catalogue.path_of("first") == folder / "first", "a queued job of it waits for the look"
        assert catalogue.get("first").name == "first"
    finally:
        may_go_on.set()
        catalogue.close()


def test_hashes_are_made_in_the_background_and_remembered(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "START_SECONDS", 0.0)
    weights = checkpoint(folder / "first") / UNET_WEIGHTS
    right = hashlib.sha256(weights.read_bytes()).hexdigest()
    catalogue = Catalogue(settings(tmp_path, checkpoints=[folder]))
    assert catalogue.get("first").sha256 is None
    catalogue.start()
    catalogue.rescan()
    assert catalogue._hashes.wait(20)
    assert catalogue.get("first").sha256 == catalogue.sha256("first") == right
    assert catalogue.hashing("first") is None
    catalogue.close()
    assert Catalogue(settings(tmp_path, checkpoints=[folder])).get("first").sha256 == right


def test_a_hash_is_forgotten_when_its_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "START_SECONDS", 0.0)
    file = tmp_path / "file"
    file.write_bytes(b"one")
    found = Hashes(tmp_path / "hashes.json")
    found.want([file])
    assert found.wait(20)
    assert found.get(file) is not None
    file.write_bytes(b"three")
    assert found.get(file) is None, "and it is put in line by that"
    assert found.wait(20)
    assert found.get(file) == hashlib.sha256(b"three").hexdigest()
    found.want([tmp_path / "missing"])
    assert found.wait(20)
    assert found.get(tmp_path / "missing") is None
    found.close()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"/a": 3}', '{"/a": {"size": 1}}'])
def test_a_damaged_memory_of_hashes_is_begun_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "hashes.json").write_text(content)
    assert Hashes(tmp_path / "hashes.json").get(tmp_path / "hashes.json") is None


def test_closing_does_not_wait_for_the_end_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "START_SECONDS", 0.0)
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(20 * 2**30)  # sparse: it takes no room
    found = Hashes(tmp_path / "hashes.json")
    found.want([large])
    while not found.progress(large):
        pass
    assert 0 < (found.progress(large) or 0.0) < 0.5
    began = time.monotonic()
    found.close()
    assert time.monotonic() - began < 5
    assert not (tmp_path / "hashes.json").exists()


def test_hashing_rests_while_others_want_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    did = threading.Event()

    def waited(work: Callable[[bytes], None], chunk: bytes) -> float:
        work(chunk)
        did.set()
        return 1000.0

    changes = {"START_SECONDS": 0.0, "CHUNK": 10, "MOST_REST_SECONDS": 3600.0, "_seconds_waited": waited}
    for name, value in changes.items():
        monkeypatch.setattr(hashes, name, value)
    (tmp_path / "weights").write_bytes(bytes(100))
    made = Hashes(tmp_path / "hashes.json")
    made.want([tmp_path / "weights"])
    assert did.wait(20)
    made.close()  # ends the rest of an hour
    assert made.get(tmp_path / "weights") is None


def test_what_others_had_of_the_processor_is_what_was_not_spent_on_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter([0.0, 0.5])
    passed = iter([10.0, 12.5])
    clocks = types.SimpleNamespace(thread_time=lambda: next(spent), perf_counter=lambda: next(passed))
    monkeypatch.setattr(hashes, "time", clocks)
    assert hashes._seconds_waited(lambda chunk: None, b"") == 2.0  # noqa: ARG005
