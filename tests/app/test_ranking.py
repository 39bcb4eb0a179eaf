"""The pictures of one request stand best first once none is on its way; what is known of them is the owner's alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services import gallery, generate, share
from app.services.publish import publish
from app.settings import Settings
from app.storage.store import Store
from tests.app.storing import must_claim, picture_event, queue, recipe


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(Settings(data=tmp_path / "data"))
    yield opened
    opened.close()


def finish(store: Store, match: float | None) -> str:
    """Make the next picture in line, of which so much is known. Returns the image's id."""
    lease = must_claim(store)
    return publish(store, lease, picture_event(lease.recipe, lease.recipe.seed) | {"match": match})


def seeds(store: Store) -> list[int]:
    return [job.recipe.seed for job in generate.recent_jobs(store, "alice")]


def test_the_best_picture_of_a_request_comes_first_once_all_are_there(store: Store) -> None:
    queue(store, "alice", recipe(9))
    ids = queue(store, "alice", recipe(1), recipe(2), recipe(3))
    finish(store, 0.99)
    finish(store, 0.2)
    finish(store, 0.9)
    assert seeds(store) == [3, 2, 1, 9]
    assert not generate.completes_ranking(store, "alice", ids)

    finish(store, 0.5)

    assert seeds(store) == [2, 3, 1, 9]  # and not the picture of another request
    assert generate.completes_ranking(store, "alice", ids[-1:])
    assert not generate.completes_ranking(store, "bob", ids)


def test_what_came_to_nothing_comes_last(store: Store) -> None:
    ids = queue(store, "alice", recipe(1), recipe(2), recipe(3))
    generate.cancel(store, "alice", ids[0])
    finish(store, 0.2)
    finish(store, 0.9)

    assert seeds(store) == [3, 2, 1]


def test_nothing_moves_where_the_checkpoint_cannot_tell(store: Store) -> None:
    ids = queue(store, "alice", recipe(1), recipe(2))
    finish(store, None)
    finish(store, None)

    assert seeds(store) == [2, 1]
    assert not generate.completes_ranking(store, "alice", ids)


def test_the_match_is_beside_the_facts_of_where_it_was_made_and_not_in_the_file(store: Store) -> None:
    queue(store, "alice", recipe(1))
    image_id = finish(store, 0.875)

    image = gallery.image(store, "alice", image_id)

    assert image.match == 0.875
    assert "match" not in image.environment
    assert b"0.875" not in gallery.image_file(store, "alice", image_id).read_bytes()


def test_strangers_with_a_link_are_not_told_it(store: Store) -> None:
    queue(store, "alice", recipe(1))
    token = share.create(store, "alice", finish(store, 0.875), show_recipe=True)

    assert share.resolve(store, token).image.match is None
