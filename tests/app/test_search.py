"""Searching one owner's images by what made them: what is found, what is literal, whose, and how far at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.services import gallery
from app.services import neighbours as around
from app.services.errors import InvalidInput
from app.services.neighbours import Neighbours, neighbours
from app.storage import images, words
from app.storage.store import Store
from models.recipe import Recipe
from tests.app.storing import finished_image, settings

KARRAS = Recipe(
    prompt="2 Moons over the café, (100% wool_socks:1.2) in 1920s Straße",
    negative_prompt="fog",
    seed=987654,
    width=512,
    height=768,
    sampler="dpmpp_2m",
    scheduler="karras",
    checkpoint="dreamy-v1",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(settings(tmp_path))
    yield store
    store.close()


def holds(recipe: Recipe | None, query: str) -> bool:
    kept = words.of_image(recipe, 512, 768)
    return all(piece in kept for piece in words.wanted(query))


def found(store: Store, owner: str, q: str) -> list[str]:
    """All images that a search finds, page by page."""
    seen: list[str] = []
    key: str | None = None
    while True:
        page = gallery.page(store, owner, key, 2, q)
        seen += [image.id for image in page.images]
        key = page.next
        if key is None:
            return seen


@pytest.mark.parametrize(
    "query",
    [
        "moons",
        "MOONS  over",
        "CAFÉ",
        "cafe\u0301",  # composed otherwise
        "ＭＯＯＮＳ",  # of another width
        "strasse",
        "100%",
        "wool_socks",
        "2 moons",
        "1920",
        "987654",
        "512x768",
        "512×768",
        "768",
        "DPM++ 2M Karras",
        "dpmpp_2m",
        "dreamy",
        "karras moons",
        "",
        " \x00\n",
    ],
)
def test_a_picture_is_found_by_its_prompt_seed_size_sampler_and_checkpoint(query: str) -> None:
    assert holds(KARRAS, query)


@pytest.mark.parametrize(
    "query", ["m%ns", "m_ons", "m*ns", "moons sun", "98765", "9", "fog", "192", "euler", "upload", "\\", "/"]
)
def test_it_is_not_found_by_wildcards_parts_of_numbers_or_what_it_was_to_leave_out(query: str) -> None:
    assert not holds(KARRAS, query)


def test_an_upload_is_found_as_one_and_by_its_size() -> None:
    assert holds(None, "UPLOAD 512x768 512")
    assert not holds(None, "ddim")


def test_the_database_takes_wildcards_literally_too(store: Store) -> None:
    plain, literal = (
        finished_image(store, "alice", 1, prompt="woolen"),
        finished_image(store, "alice", 2, prompt="wo%l_n"),
    )
    for q, ids in (("wo%", [literal]), ("l_n", [literal]), ("w", [literal, plain]), ("%", [literal]), ("/", [])):
        assert found(store, "alice", q) == ids, q


def test_only_ones_own_pictures_are_found_and_none_that_is_deleted(store: Store) -> None:
    mine, gone = finished_image(store, "alice", 1), finished_image(store, "alice", 2)
    finished_image(store, "bob", 3)
    gallery.delete(store, "alice", gone)
    assert found(store, "alice", "lake") == [mine]
    assert found(store, "charlie", "lake") == []


def test_an_adopted_copy_is_found(store: Store) -> None:
    copy = gallery.adopt(store, "alice", "bob", finished_image(store, "alice", 1, prompt="a tent"))
    assert found(store, "bob", "tent") == [copy]


def test_pages_show_each_match_once_newest_first(store: Store) -> None:
    made = [finished_image(store, "alice", seed, prompt="a tent" if seed % 3 else "a lake") for seed in range(10)]
    assert found(store, "alice", "tent") == [made[seed] for seed in range(9, -1, -1) if seed % 3]


def test_a_search_that_takes_long_stops_and_goes_on_from_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "SEARCH_SECONDS", -1)
    monkeypatch.setattr(gallery, "SEARCHED_AT_ONCE", 2)
    made = [finished_image(store, "alice", seed, prompt="a tent" if seed == 1 else "a lake") for seed in range(5)]
    cut = gallery.page(store, "alice", None, 2, "tent")
    assert (cut.images, cut.is_cut) == ((), True)
    second = gallery.page(store, "alice", cut.next, 2, "tent")
    assert [image.id for image in second.images] == [made[1]]
    last = gallery.page(store, "alice", second.next, 2, "tent")
    assert (last.images, last.next, last.is_cut) == ((), None, False)
    full = gallery.page(store, "alice", None, 1, "lake")
    assert (len(full.images), full.is_cut) == (1, False)
    assert found(store, "alice", "lake") == [image for at, image in enumerate(made) if at != 1][::-1]


def test_neighbours_in_a_search_are_the_nearest_that_it_finds_close_by(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [
        finished_image(store, "alice", seed, prompt="a tent" if seed in {0, 3, 5} else "a lake") for seed in range(6)
    ]
    finished_image(store, "bob", 9, prompt="a tent")
    assert neighbours(store, "alice", made[3], "tent") == Neighbours(newer=made[5], older=made[0])
    assert neighbours(store, "alice", made[3]) == Neighbours(newer=made[4], older=made[2])
    assert neighbours(store, "alice", made[3], "100%") == Neighbours(newer=None, older=None)
    monkeypatch.setattr(around, "SEARCHED", 2)
    assert neighbours(store, "alice", made[3], "tent") == Neighbours(newer=made[5], older=None)


def test_what_is_too_long_is_refused_by_its_name(store: Store) -> None:
    gallery.page(store, "alice", q="x" * gallery.MAX_QUERY)
    with pytest.raises(InvalidInput, match="at most 200 characters; this is 201") as refusal:
        gallery.page(store, "alice", q="x" * (gallery.MAX_QUERY + 1))
    assert refusal.value.field == "q"


def test_a_search_reads_an_index_alone(store: Store) -> None:
    query = "EXPLAIN QUERY PLAN SELECT id FROM images WHERE owner = 'a' AND (created_at, id) < (5, 'x') "
    with store.read() as tx:
        plan = str(
            tx.execute(
                text(query + "AND deleted_at IS NULL AND words LIKE '%x%' ORDER BY created_at DESC, id DESC LIMIT 60")
            ).all()
        )
        assert "USING COVERING INDEX images_of_owner (owner=? AND (created_at,id)<(?,?))" in plan
        assert "TEMP B-TREE" not in plan
        assert images.search(tx, "alice", ["x"], None, 1, 1) == ([], None)
