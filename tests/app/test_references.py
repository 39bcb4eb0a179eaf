"""Files of pictures and masks stay for as long as something needs them, and go after that."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.services import canvas, edit, gallery, generate, maintenance, upload
from app.services.errors import Conflict, InvalidInput
from app.services.publish import publish
from app.services.request import JobRequest
from app.services.views import ImageView
from app.settings import Settings
from app.storage.store import Store
from tests.api.conftest import decode_once
from tests.api.picturing import file, mask, text
from tests.app.storing import SmallCatalogue, must_claim, picture_event, settings

__all__ = ["decode_once"]

TWO_HOURS = 7200


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(settings(tmp_path))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def catalogue() -> SmallCatalogue:
    return SmallCatalogue(Settings())


@pytest.fixture
def image(store: Store) -> ImageView:
    return upload.add(store, "alice", file())


@pytest.fixture
def ask(store: Store, catalogue: SmallCatalogue) -> Callable[..., str]:
    """Queue an edit and return its job."""

    def queue(image: str, owner: str = "alice", **fields: str) -> str:
        request = JobRequest(prompt="a lake", seed=7, image=image, **fields)  # type: ignore[arg-type]
        return generate.submit(store, catalogue, owner, request).jobs[0].id

    return queue


def kept(store: Store) -> set[str]:
    """The files that are left by a sweep for which all of them are old."""
    for path in store.settings.images.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - TWO_HOURS,) * 2)
    maintenance.sweep(store)
    return {path.stem for path in store.settings.images.rglob("*.png")}


def hashes(store: Store, job_id: str) -> set[str]:
    found = generate.job_view(store, "alice", job_id).recipe.edit
    assert found is not None
    return {sha256 for sha256 in (found.image, found.mask) if sha256}


def finish(store: Store) -> str:
    lease = must_claim(store)
    return publish(store, lease, picture_event(lease.recipe))


def test_an_upload_stays_until_it_is_deleted(store: Store, image: ImageView) -> None:
    assert len(kept(store)) == 1
    gallery.delete(store, "alice", image.id)
    assert kept(store) == set()


def test_what_a_job_needs_stays_while_it_waits_although_its_picture_was_deleted(
    store: Store, image: ImageView, ask: Callable[..., str]
) -> None:
    job = ask(image.id, mask=text(mask()))
    gallery.delete(store, "alice", image.id)
    assert kept(store) == hashes(store, job)
    assert len(hashes(store, job)) == 2


def test_what_a_cancelled_job_needs_stays_until_its_card_is_dismissed(
    store: Store, image: ImageView, ask: Callable[..., str]
) -> None:
    job = ask(image.id, mask=text(mask()))
    generate.cancel(store, "alice", job)
    gallery.delete(store, "alice", image.id)
    assert kept(store) == hashes(store, job), "it can be tried again"
    generate.dismiss(store, "alice", job)
    assert kept(store) == set()


def test_what_an_image_was_made_from_stays_until_that_image_is_deleted(
    store: Store, image: ImageView, ask: Callable[..., str]
) -> None:
    job = ask(image.id, mask=text(mask()))
    made = finish(store)
    gallery.delete(store, "alice", image.id)
    assert kept(store) >= hashes(store, job)
    assert len(kept(store)) == 3
    gallery.delete(store, "alice", made)
    assert kept(store) == set()


def test_a_file_that_two_need_outlives_the_first(store: Store, image: ImageView, ask: Callable[..., str]) -> None:
    other = upload.add(store, "bob", file())
    assert len(kept(store)) == 1, "equal files are one"
    gallery.delete(store, "alice", image.id)
    assert gallery.image_file(store, "bob", other.id).is_file()
    ask(other.id, owner="bob")
    gallery.delete(store, "bob", other.id)
    assert len(kept(store)) == 1


def test_the_mask_of_a_canvas_stays_and_the_one_before_goes_at_once(store: Store, image: ImageView) -> None:
    board = canvas.create(store, "alice", image.id)
    canvas.set_mask(store, "alice", board.id, mask(box=(0, 0, 8, 8)))
    first = canvas.mask_file(store, "alice", board.id)
    canvas.set_mask(store, "alice", board.id, mask(box=(8, 8, 32, 32)))
    second = canvas.mask_file(store, "alice", board.id)
    assert (first.exists(), second.exists()) == (False, True)
    assert second.stem in kept(store)
    canvas.delete(store, "alice", board.id)
    assert not second.exists()


def test_a_mask_that_a_candidate_needs_stays_when_the_canvas_lets_it_go(
    store: Store, catalogue: SmallCatalogue, image: ImageView
) -> None:
    board = canvas.create(store, "alice", image.id)
    canvas.set_mask(store, "alice", board.id, mask())
    path = canvas.mask_file(store, "alice", board.id)
    canvas.ask(store, catalogue, "alice", board.id, JobRequest(prompt="a lake"))
    canvas.clear_mask(store, "alice", board.id)
    assert path.exists()
    assert path.stem in kept(store)


def test_a_mask_that_a_candidate_could_be_tried_again_with_outlives_its_card(
    store: Store, catalogue: SmallCatalogue, image: ImageView
) -> None:
    board = canvas.create(store, "alice", image.id)
    canvas.set_mask(store, "alice", board.id, mask(box=(0, 0, 8, 8)))
    path = canvas.mask_file(store, "alice", board.id)
    (job,) = canvas.ask(store, catalogue, "alice", board.id, JobRequest(prompt="a lake")).jobs
    generate.cancel(store, "alice", job.id)
    generate.clear_finished(store, "alice")
    canvas.set_mask(store, "alice", board.id, mask(box=(8, 8, 32, 32)))
    assert path.exists()
    assert path.stem in kept(store)
    canvas.discard(store, "alice", board.id)
    assert path.stem not in kept(store)


def test_nothing_is_kept_of_a_request_that_is_refused(
    store: Store, catalogue: SmallCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "MAX_PENDING_OF_ALL", 0)
    request = JobRequest(prompt="a lake", image=text(file()), mask=text(mask()))
    with pytest.raises(Exception, match="queue is full"):
        generate.submit(store, catalogue, "alice", request)
    assert not list(store.settings.images.rglob("*.png"))


def test_a_picture_that_is_deleted_while_its_edit_is_checked_is_missed_in_time(
    store: Store, catalogue: SmallCatalogue, image: ImageView
) -> None:
    order = generate.prepare(store, catalogue, "alice", JobRequest(prompt="a lake", image=image.id))
    gallery.delete(store, "alice", image.id)
    with pytest.raises(Conflict, match="deleted meanwhile"), store.write() as tx:
        generate.queue(store, tx, "alice", order)
    assert not generate.recent_jobs(store, "alice")


def test_an_own_file_may_be_named_by_its_hash_and_another_owners_may_not(
    store: Store, image: ImageView, ask: Callable[..., str]
) -> None:
    job = ask(image.id, mask=text(mask()))
    found = generate.job_view(store, "alice", job).recipe.edit
    assert found is not None
    again = ask(f"sha256:{found.image}", mask=f"sha256:{found.mask}")
    assert generate.job_view(store, "alice", again).recipe.edit == found
    with pytest.raises(InvalidInput, match="image: There is no such image of yours"):
        ask(f"sha256:{found.image}", owner="charlie")
    with pytest.raises(InvalidInput, match="mask: There is no such image of yours"):
        ask(text(file()), owner="charlie", mask=f"sha256:{found.mask}")


def test_the_whole_of_a_picture_is_framed_down_to_a_multiple_of_eight() -> None:
    sizes = {(300, 220): (296, 216), (10, 90): (64, 88), (2048, 64): (2048, 64)}
    for (width, height), framed in sizes.items():
        frame = edit.whole(width, height)
        assert (frame.x, frame.y, frame.width, frame.height) == (0, 0, *framed)
