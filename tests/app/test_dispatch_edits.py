"""Edits are carried out with the files that their recipes name, as often as it takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services import generate, upload
from app.services.request import JobRequest
from app.settings import Settings
from tests.api.picturing import file, mask, text
from tests.app.fake_engine import FakeEngine
from tests.app.house import House
from tests.app.storing import SmallCatalogue


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with FakeEngine(tmp_path / "engine.sock") as engine:
        built = House(tmp_path / "data", engine)
        yield built
        built.store.close()


def ask(house: House) -> str:
    image = upload.add(house.store, "alice", file())
    request = JobRequest(prompt="a lake", seed=3, steps=3, image=image.id, mask=text(mask()))
    return generate.submit(house.store, SmallCatalogue(Settings()), "alice", request).jobs[0].id


def test_an_engine_that_dies_at_an_edit_is_given_the_same_files_again(house: House) -> None:
    house.engine.die_at_step, house.engine.deaths = 1, 1
    job = ask(house)
    house.while_dispatching(house.until_all_are("done"))
    view = generate.job_view(house.store, "alice", job)
    assert (view.attempt, len(house.engine.inputs)) == (2, 2)
    assert house.engine.inputs[0] == house.engine.inputs[1] != {}
    assert view.image is not None
    assert view.image.parent_id is not None


def test_an_edit_whose_mask_is_lost_fails_and_never_reaches_the_engine(house: House) -> None:
    job = ask(house)
    edit = generate.job_view(house.store, "alice", job).recipe.edit
    assert edit is not None
    assert edit.mask is not None
    house.store.files.find(edit.mask).unlink()
    house.while_dispatching(house.until_all_are("failed"))
    view = generate.job_view(house.store, "alice", job)
    assert view.error is not None
    assert (view.error.code, house.engine.inputs) == ("missing_input", [])
