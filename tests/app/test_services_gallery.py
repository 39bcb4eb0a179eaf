"""Gallery and share links, for their owner, for a stranger, and for one with a link."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.metadata.read import read_recipe
from app.services import gallery, generate, maintenance, share
from app.services.errors import Conflict, InvalidInput, NotFound
from app.storage import images
from app.storage.store import Store
from tests.app.storing import finished_image, queue, recipe, settings


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(settings(tmp_path))
    yield store
    store.close()


def files(store: Store) -> list[Path]:
    return [path for path in store.settings.images.rglob("*") if path.is_file()]


def test_pages_show_each_image_once_newest_first(store: Store) -> None:
    made = [finished_image(store, "alice", seed) for seed in range(7)]
    finished_image(store, "bob")
    seen: list[str] = []
    key: str | None = None
    while True:
        page = gallery.page(store, "alice", key, limit=3)
        seen += [image.id for image in page.images]
        key = page.next
        if key is None:
            break
        gallery.delete(store, "alice", seen[-1])  # a key outlives the image that it names
    assert seen == made[::-1]


def test_a_key_that_we_did_not_give_out_is_refused(store: Store) -> None:
    for key in ("", "abc", "1", ".x", "9" * 40 + ".x"):
        with pytest.raises(InvalidInput) as refusal:
            gallery.page(store, "alice", key)
        assert refusal.value.field == "before"


def test_a_page_reads_its_rows_from_the_index(store: Store) -> None:
    query = "EXPLAIN QUERY PLAN SELECT * FROM images WHERE owner = 'a' AND deleted_at IS NULL "
    with store.read() as tx:
        plan = str(
            tx.execute(text(query + "AND (created_at, id) < (5, 'x') ORDER BY created_at DESC, id DESC LIMIT 60")).all()
        )
    assert "images_of_owner (owner=? AND (created_at,id)<(?,?))" in plan
    assert "TEMP B-TREE" not in plan


def test_an_image_has_all_that_its_page_shows(store: Store) -> None:
    image = gallery.image(store, "alice", finished_image(store, "alice", 5))
    assert image.recipe == recipe(5)
    assert (image.width, image.height, image.environment["version"]) == (64, 64, "0.1")
    assert abs(image.created_at.timestamp() - time.time()) < 60
    png = gallery.image_file(store, "alice", image.id).read_bytes()
    assert read_recipe(png) == image.recipe
    assert gallery.thumbnail(store, "alice", image.id)[8:12] == b"WEBP"


def test_a_stranger_finds_no_image(store: Store) -> None:
    image_id = finished_image(store, "alice")
    for act in (gallery.image, gallery.image_file, gallery.thumbnail, gallery.delete, share.create):
        with pytest.raises(NotFound):
            act(store, "charlie", image_id)
    assert gallery.page(store, "charlie").images == ()
    assert gallery.image(store, "alice", image_id).shares == ()


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_a_missing_or_damaged_file_is_not_found_and_the_gallery_goes_on(store: Store, content: bytes | None) -> None:
    image_id = finished_image(store, "alice")
    token = share.create(store, "alice", image_id)
    for path in files(store):
        path.unlink() if content is None or path.suffix == ".webp" else path.write_bytes(content)
    with pytest.raises(NotFound, match="damaged"):
        gallery.image_file(store, "alice", image_id)
    with pytest.raises(NotFound, match="damaged"):
        gallery.thumbnail(store, "alice", image_id)
    with pytest.raises(NotFound, match="damaged"):
        share.shared_png(store, token)
    assert len(gallery.page(store, "alice").images) == 1
    gallery.delete(store, "alice", image_id)
    assert gallery.page(store, "alice").images == ()


def test_deleting_removes_image_card_links_and_bytes(store: Store) -> None:
    image_id = finished_image(store, "alice")
    token = share.create(store, "alice", image_id)
    share.shared_png(store, token)
    gallery.delete(store, "alice", image_id)
    assert files(store) == []
    assert generate.recent_jobs(store, "alice") == []
    for lookup in (share.resolve, share.shared_png):
        with pytest.raises(NotFound):
            lookup(store, token)
    with pytest.raises(NotFound):
        gallery.delete(store, "alice", image_id)


def test_a_file_stays_while_another_image_has_it(store: Store) -> None:
    first, second = finished_image(store, "alice", 5), finished_image(store, "bob", 5)
    gallery.delete(store, "alice", first)
    assert gallery.image_file(store, "bob", second).is_file()
    gallery.delete(store, "bob", second)
    assert files(store) == []


def test_a_deletion_that_was_cut_short_is_finished_by_the_sweep(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = finished_image(store, "alice")

    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gallery, "erase", killed)
    with pytest.raises(KeyboardInterrupt):
        gallery.delete(store, "alice", image_id)
    monkeypatch.undo()
    with pytest.raises(NotFound):
        gallery.image(store, "alice", image_id)
    assert files(store) != []
    maintenance.sweep(store)
    assert files(store) == []


def test_the_sweep_removes_orphans_after_an_hour_and_nothing_else(store: Store) -> None:
    image_id = finished_image(store, "alice")
    kept = files(store)
    orphan = store.files.find(store.files.put(b"written, then the process was killed"))
    for path in files(store):
        os.utime(path, (time.time() - 3500, time.time() - 3500))
    maintenance.sweep(store)
    assert orphan.exists()
    for path in files(store):
        os.utime(path, (time.time() - 3700, time.time() - 3700))
    maintenance.sweep(store)
    assert sorted(files(store)) == sorted(kept)
    assert gallery.image_file(store, "alice", image_id).is_file()


def test_the_sweep_forgets_old_events_but_not_how_far_the_ids_have_come(store: Store) -> None:
    finished_image(store, "alice")
    last = generate.last_event_id(store, "alice")
    with store.write() as tx:
        tx.execute(text("UPDATE job_events SET created_at = created_at - 90000000"))
    maintenance.sweep(store)
    assert generate.last_event_id(store, "alice") == last
    assert [event.kind for event in generate.events_after(store, "alice", 0)] == ["snapshot"]


def test_the_sweep_forgets_jobs_whose_picture_was_deleted_and_what_nobody_misses(store: Store) -> None:
    kept, gone = finished_image(store, "alice", 1), finished_image(store, "alice", 2, prompt="a secret place")
    failed, hidden = queue(store, "alice", recipe(3), recipe(4))
    for job_id in (failed, hidden):
        generate.cancel(store, "alice", job_id)
    generate.dismiss(store, "alice", hidden)
    gallery.delete(store, "alice", gone)
    (open_one,) = queue(store, "alice", recipe(5))  # and with it the newest event, which stays

    def jobs_after(milliseconds: int) -> set[str]:
        with store.write() as tx:
            for column in ("created_at", "finished_at"):
                tx.execute(text(f"UPDATE jobs SET {column} = {column} - {milliseconds}"))
            tx.execute(text(f"UPDATE job_events SET created_at = created_at - {milliseconds}"))
        maintenance.sweep(store)
        with store.read() as tx:
            return set(tx.scalars(text("SELECT id FROM jobs")))

    assert len(jobs_after(0)) == 5
    with store.read() as tx:
        of_kept = tx.scalars(text("SELECT job_id FROM images WHERE id = :id"), {"id": kept}).one()
    assert jobs_after(maintenance.DAY_MS + 1) == {of_kept, failed, open_one}
    assert jobs_after(maintenance.MONTH_MS) == {of_kept, open_one}
    assert generate.job_view(store, "alice", of_kept).image is not None


def test_a_picture_has_only_so_many_links(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "MAX_LINKS", 2)
    image_id = finished_image(store, "alice")
    token, _ = (share.create(store, "alice", image_id) for _ in range(2))
    with pytest.raises(Conflict, match="revoke one"):
        share.create(store, "alice", image_id)
    share.revoke(store, "alice", token)
    share.create(store, "alice", image_id)


def test_a_link_shows_the_picture_and_nothing_else(store: Store) -> None:
    image_id = finished_image(store, "alice", prompt="a secret place")
    token = share.create(store, "alice", image_id)
    shared = share.resolve(store, token)
    assert (shared.image.recipe, shared.image.id, shared.image.environment) == (None, "", {})
    assert "secret" not in shared.alt
    png = share.shared_png(store, token)
    assert b"secret" not in png
    assert b"trainedAlgorithmicMedia" in png


def test_a_link_shows_the_recipe_where_its_owner_says_so(store: Store) -> None:
    token = share.create(store, "alice", finished_image(store, "alice"), show_recipe=True)
    shared = share.resolve(store, token)
    assert (shared.image.recipe, shared.alt) == (recipe(), "a lake")
    assert read_recipe(share.shared_png(store, token)) == recipe()


def test_the_token_is_long_and_not_in_the_database(store: Store) -> None:
    token = share.create(store, "alice", finished_image(store, "alice"))
    assert len(token) * 6 >= 128
    kept = b"".join(path.read_bytes() for path in store.settings.data.glob("mezzotint.sqlite3*"))
    assert token.encode() not in kept


@pytest.mark.parametrize("by", ["token", "id"])
def test_a_revoked_link_leads_nowhere_and_its_owner_sees_that(store: Store, by: str) -> None:
    image_id = finished_image(store, "alice")
    token = share.create(store, "alice", image_id)
    (first,) = gallery.image(store, "alice", image_id).shares
    other = share.create(store, "alice", image_id)
    with pytest.raises(NotFound):
        share.revoke(store, "charlie", token)
    share.revoke(store, "alice", token if by == "token" else first.id)
    share.revoke(store, "alice", token if by == "token" else first.id)
    for lookup in (share.resolve, share.shared_png):
        with pytest.raises(NotFound, match="revoked"):
            lookup(store, token)
    assert share.resolve(store, other).image.width == 64
    revoked = [link.revoked_at is not None for link in gallery.image(store, "alice", image_id).shares]
    assert sorted(revoked) == [False, True]


def test_a_token_that_was_never_made_leads_nowhere(store: Store) -> None:
    for token in ("", "x" * 32, "é", "' OR 1=1 --"):
        with pytest.raises(NotFound):
            share.resolve(store, token)


def test_several_are_deleted_at_once_each_of_its_owner(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    hers, same, his = (finished_image(store, owner, 5) for owner in ("alice", "alice", "bob"))
    asked = {hers: "alice", same: "alice", his: "alice", "nothing": "alice"}
    assert [view.id for view in gallery.several(store, asked)] == [hers, same]

    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(images, "bury", killed)
    with pytest.raises(KeyboardInterrupt):
        gallery.delete_all(store, asked)
    monkeypatch.undo()
    assert len(gallery.page(store, "alice").images) == 2
    assert gallery.delete_all(store, asked) == 2
    assert gallery.page(store, "alice").images == ()
    assert gallery.image_file(store, "bob", his).is_file()
    assert gallery.delete_all(store, asked) == 0


def test_deleting_a_picture_and_its_parent_leaves_the_child_to_the_grandparent(store: Store) -> None:
    first, second, third, fourth = (finished_image(store, "alice", seed) for seed in range(4))
    with store.write() as tx:
        for child, parent in ((second, first), (third, second), (fourth, third)):
            tx.execute(text("UPDATE images SET parent_id = :p WHERE id = :c"), {"p": parent, "c": child})
    assert gallery.delete_all(store, {second: "alice", third: "alice"}) == 2
    assert gallery.image(store, "alice", fourth).parent_id == first
