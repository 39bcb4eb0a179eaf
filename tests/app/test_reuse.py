"""A picture that its owner has already is not made again."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from app.services import gallery, generate
from models.recipe import Recipe
from tests.app.fake_engine import ENVIRONMENT, FakeEngine
from tests.app.house import House
from tests.app.storing import queue, recipe


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with tempfile.TemporaryDirectory() as folder, FakeEngine(Path(folder) / "engine.sock") as fake:
        fake.fingerprint = ENVIRONMENT["fingerprint"]
        yield fake


@pytest.fixture
def house(tmp_path: Path, engine: FakeEngine) -> Iterator[House]:
    house = House(tmp_path / "data", engine)
    yield house
    house.store.close()


def asking(house: House, owner: str, *recipes: Recipe) -> Callable[[], Awaitable[None]]:
    async def ask() -> None:
        await asyncio.to_thread(queue, house.store, owner, *recipes)

    return ask


def test_an_equal_job_gets_the_owners_picture_as_an_image_of_its_own(house: House) -> None:
    queue(house.store, "alice", recipe(7))
    asked = asking(house, "alice", recipe(7), recipe(8))
    house.while_dispatching(house.until_all_are("done"), asked, house.until_all_are("done"))
    assert [made.seed for made in house.engine.finished] == [7, 8]
    images = gallery.page(house.store, "alice").images
    assert len({image.id for image in images}) == 3
    assert [image.recipe.seed for image in images if image.recipe].count(7) == 2
    house.assert_each_done_once()


def test_of_two_equal_jobs_at_once_one_is_made(house: House) -> None:
    house.engine.step_delay = 0.02
    queue(house.store, "alice", recipe(7, steps=5), recipe(7, steps=5), recipe(7, steps=5))
    house.while_dispatching(house.until_all_are("done"))
    assert len(house.engine.started) == 1
    assert len(gallery.page(house.store, "alice").images) == 3


def test_a_twin_is_made_when_the_first_is_cancelled(house: House) -> None:
    house.engine.step_delay = 0.02
    first, second = queue(house.store, "alice", recipe(7, steps=30), recipe(7, steps=30))

    async def cancel() -> None:
        await asyncio.to_thread(generate.cancel, house.store, "alice", first)

    house.while_dispatching(
        house.until(lambda: house.engine.running == 1),
        cancel,
        house.until(lambda: len(house.engine.started) == 2),
        house.hurry,
        house.until(lambda: generate.job_view(house.store, "alice", second).status == "done"),
    )


def test_nobody_gets_another_owners_picture(house: House) -> None:
    queue(house.store, "alice", recipe(7))
    asked = asking(house, "bob", recipe(7))
    house.while_dispatching(house.until_all_are("done"), asked, house.until_all_are("done", owner="bob"))
    assert len(house.engine.started) == 2


def test_another_checkpoint_under_the_same_name_makes_it_again(house: House) -> None:
    queue(house.store, "alice", recipe(7))

    async def replace_the_file() -> None:
        house.engine.fingerprint = "1" * 64

    asked = asking(house, "alice", recipe(7))
    house.while_dispatching(house.until_all_are("done"), replace_the_file, asked, house.until_all_are("done"))
    assert len(house.engine.started) == 2


def test_a_picture_of_compiled_networks_is_made_again_by_an_engine_that_compiles_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "compiled", "yes")
    queue(house.store, "alice", recipe(7))
    asked = asking(house, "alice", recipe(7))
    house.while_dispatching(house.until_all_are("done"), asked, house.until_all_are("done"))
    assert len(house.engine.started) == 2


@pytest.mark.parametrize("changes", [{"reuse": False}, {"prompt_in_files": False}])
def test_it_is_made_again_where_that_is_wanted_or_files_must_not_tell(
    tmp_path: Path, engine: FakeEngine, changes: dict[str, bool]
) -> None:
    house = House(tmp_path / "data", engine, **changes)
    queue(house.store, "alice", recipe(7), recipe(7))
    house.while_dispatching(house.until_all_are("done"))
    house.store.close()
    assert len(engine.started) == 2
