"""Candidates that are thrown away over the API: gone at once, back as they were if asked in time, then deleted."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.services import canvas as canvases
from app.services import maintenance
from app.settings import Settings
from app.storage.store import Store
from tests.api.asking import wait_for
from tests.api.canvassing import act, candidates, created, put_mask, state
from tests.api.picturing import mask, uploaded
from tests.app.fake_engine import FakeEngine


@pytest.fixture
def canvas(alice: TestClient) -> dict[str, Any]:
    return created(alice, uploaded(alice)["id"])


@pytest.fixture
def sweep(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Do what is done every hour, with old files, `late` if it is too late to bring anything back by then."""

    def swept(*, late: bool) -> None:
        monkeypatch.setattr(canvases, "RESTORABLE_MS", -1 if late else 10**9)
        for path in files(settings):
            os.utime(path, (time.time() - 7200,) * 2)
        store = Store(settings)
        maintenance.sweep(store)
        store.close()

    return swept


def files(settings: Settings) -> set[Path]:
    return set(settings.images.rglob("*.png"))


def gallery(browser: TestClient) -> list[str]:
    return [image["id"] for image in browser.get("/api/images").json()["images"]]


def test_what_is_discarded_is_nowhere_until_it_is_restored_as_it_was(
    alice: TestClient, charlie: TestClient, canvas: dict[str, Any], sweep: Any
) -> None:
    put_mask(alice, canvas, mask())
    (first,) = candidates(alice, canvas)
    alice.delete(f"/api/canvases/{canvas['id']}/mask")
    (second,) = candidates(alice, canvas)
    before = state(alice, canvas)
    shared = re.search(r'id="share-url"[^>]* value="([^"]+)"', alice.post(f"/images/{first['image']['id']}/share").text)
    assert shared
    shown = gallery(alice)

    after = act(alice, canvas, "discard", job=first["id"], delete=True)
    assert [one["job"] for one in after["candidates"]] == [second["id"]]
    assert after["discarded"] == [first["id"]]
    assert first["image"]["id"] not in gallery(alice)
    assert alice.get(first["image"]["url"]).status_code == 404
    assert charlie.get(shared[1]).status_code == 404
    assert first["id"] not in alice.get("/").text, "nor is its card in the studio"

    sweep(late=False)
    back = act(alice, canvas, "restore", job=first["id"])
    assert (back["candidates"], back["discarded"]) == (before["candidates"], [])
    assert gallery(alice) == shown
    assert alice.get(first["image"]["url"]).status_code == 200
    assert charlie.get(shared[1]).status_code == 200
    inputs = {name: f"sha256:{first['recipe']['edit'][name]}" for name in ("image", "mask")}
    again = alice.post("/api/jobs", json={"prompt": "a lake", **inputs})
    assert again.status_code == 202, f"what it was made from is gone: {again.text}"


def test_several_come_back_one_by_one(alice: TestClient, canvas: dict[str, Any]) -> None:
    made = [job["id"] for job in candidates(alice, canvas, count=3)]
    for job in (made[2], made[0]):
        left = act(alice, canvas, "discard", job=job, delete=True)
    assert left["discarded"] == [made[2], made[0]]
    assert act(alice, canvas, "restore", job=made[0])["discarded"] == [made[2]]
    assert [one["job"] for one in act(alice, canvas, "restore", job=made[2])["candidates"]] == made


def test_it_is_deleted_for_good_when_nobody_has_asked_in_time(
    alice: TestClient, canvas: dict[str, Any], settings: Settings, sweep: Any
) -> None:
    kept = files(settings)
    (job,) = candidates(alice, canvas)
    act(alice, canvas, "discard", job=job["id"], delete=True)
    sweep(late=True)
    assert files(settings) == kept
    assert state(alice, canvas)["discarded"] == []
    assert alice.post(f"/api/canvases/{canvas['id']}/restore", json={"job": job["id"]}).status_code == 404


def test_it_is_deleted_although_its_canvas_was_forgotten(
    alice: TestClient, canvas: dict[str, Any], settings: Settings, sweep: Any
) -> None:
    kept = files(settings)
    (job,) = candidates(alice, canvas)
    act(alice, canvas, "discard", job=job["id"], delete=True)
    alice.delete(f"/api/canvases/{canvas['id']}")
    sweep(late=True)
    assert files(settings) == kept


def test_what_is_accepted_or_kept_leaves_what_was_discarded_alone(alice: TestClient, canvas: dict[str, Any]) -> None:
    first, second, third = candidates(alice, canvas, count=3)
    act(alice, canvas, "discard", job=first["id"], delete=True)
    act(alice, canvas, "discard", job=None)
    (fourth,) = candidates(alice, canvas)
    act(alice, canvas, "accept", image_id=fourth["image"]["id"])
    assert {second["image"]["id"], third["image"]["id"]} < set(gallery(alice))
    back = act(alice, canvas, "restore", job=first["id"])
    assert [one["job"] for one in back["candidates"]] == [first["id"]]


def test_one_that_is_being_made_is_cancelled_and_can_be_made_when_it_is_back(
    alice: TestClient, canvas: dict[str, Any], engine: FakeEngine
) -> None:
    engine.step_delay = 0.2
    body = {"prompt": "a lake", "steps": 150}
    (job,) = alice.post(f"/api/canvases/{canvas['id']}/candidates", json=body).json()["jobs"]
    act(alice, canvas, "discard", job=job["id"], delete=True)
    assert alice.get(f"/api/jobs/{job['id']}").json()["status"] == "cancelled"
    (back,) = act(alice, canvas, "restore", job=job["id"])["candidates"]
    assert back["status"] == "cancelled"
    act(alice, canvas, "discard", job=job["id"], delete=True)
    engine.step_delay = 0.0
    alice.post(f"/api/jobs/{job['id']}/retry")
    wait_for(alice, job["id"], "done")
    now = state(alice, canvas)
    assert ([one["job"] for one in now["candidates"]], now["discarded"]) == ([job["id"]], [])


def test_a_picture_on_a_canvas_of_its_own_stays(alice: TestClient, canvas: dict[str, Any], sweep: Any) -> None:
    (job,) = candidates(alice, canvas)
    other = created(alice, job["image"]["id"])
    act(alice, canvas, "discard", job=job["id"], delete=True)
    assert state(alice, other)["image"]["id"] == job["image"]["id"]
    sweep(late=True)
    assert alice.get(job["image"]["url"]).status_code == 200
    assert (state(alice, canvas)["candidates"], state(alice, canvas)["discarded"]) == ([], [])


def test_nobody_restores_what_is_not_theirs_or_was_never_discarded(
    alice: TestClient, charlie: TestClient, canvas: dict[str, Any]
) -> None:
    first, second = candidates(alice, canvas, count=2)
    act(alice, canvas, "discard", job=first["id"], delete=True)
    other = created(alice, uploaded(alice)["id"])
    for browser, board, job in ((charlie, canvas, first), (alice, canvas, second), (alice, other, first)):
        answer = browser.post(f"/api/canvases/{board['id']}/restore", json={"job": job["id"]})
        assert answer.status_code == 404
    assert state(alice, canvas)["discarded"] == [first["id"]]
    refused = alice.post(f"/api/canvases/{canvas['id']}/discard", json={"job": None, "delete": True})
    assert refused.status_code == 422, "all at once are not deleted by a slip"
