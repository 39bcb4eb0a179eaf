"""Canvases: what is done to one is kept, told to other devices, and no stranger's business."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.services import views
from app.settings import Settings
from tests.api.asking import fields_of, finished
from tests.api.canvassing import act, candidates, created, put_mask, state
from tests.api.conftest import ADDRESS
from tests.api.picturing import file, mask, opened, uploaded
from tests.app.fake_engine import FakeEngine

WIDE = {"x": -32, "y": 0, "width": 128, "height": 80}


@pytest.fixture
def canvas(alice: TestClient) -> dict[str, Any]:
    """A canvas of Alice's with an uploaded picture of 96 by 80."""
    return created(alice, uploaded(alice)["id"])


def test_a_new_canvas_shows_all_of_its_picture(alice: TestClient) -> None:
    image = uploaded(alice, file((101, 80)))
    canvas = created(alice, image["id"])
    assert canvas["image"] == {name: image[name] for name in ("id", "url", "width", "height")}
    assert canvas["frame"] == {"x": 0, "y": 0, "width": 96, "height": 80}
    assert (canvas["mask_url"], canvas["settings"], canvas["candidates"]) == (None, {}, [])
    assert [step["image_id"] for step in canvas["history"]] == [image["id"]]
    assert state(alice, canvas) == canvas
    assert [found["id"] for found in alice.get("/api/canvases").json()["canvases"]] == [canvas["id"]]


def test_what_was_done_is_there_after_a_restart(
    alice: TestClient, canvas: dict[str, Any], settings: Settings, build: Callable[[Settings], FastAPI]
) -> None:
    put_mask(alice, canvas, mask())
    alice.patch(f"/api/canvases/{canvas['id']}", json={"frame": WIDE, "settings": {"zoom": 1.5, "tool": "brush"}})
    candidates(alice, canvas, count=2)
    before = state(alice, canvas)
    with TestClient(build(settings), base_url=ADDRESS, cookies=alice.cookies) as other_device:
        assert state(other_device, canvas) == before
        kept = opened(other_device.get(before["mask_url"]).content)
    assert (kept.mode, kept.size, kept.getbbox()) == ("L", (96, 80), (16, 16, 48, 48))
    assert (before["frame"], before["settings"]["zoom"], len(before["candidates"])) == (WIDE, 1.5, 2)


def test_every_change_counts_the_version_up_and_an_old_one_is_refused(
    alice: TestClient, canvas: dict[str, Any]
) -> None:
    path = f"/api/canvases/{canvas['id']}"
    old = {"If-Match": '"1"'}
    assert put_mask(alice, canvas, mask(), **old).json() == {"version": 2}
    refused = [
        put_mask(alice, canvas, mask(), **old),
        alice.delete(f"{path}/mask", headers=old),
        alice.patch(path, json={"frame": WIDE}, headers=old),
        alice.post(f"{path}/candidates", json={"prompt": "a lake"}, headers=old),
        alice.post(f"{path}/accept", json={"image_id": "any"}, headers=old),
        alice.post(f"{path}/discard", json={"job": None}, headers=old),
        alice.post(f"{path}/checkout", json={"image_id": canvas["image"]["id"]}, headers=old),
        alice.delete(path, headers=old),
    ]
    for answer in refused:
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "stale")
        assert answer.headers["etag"] == '"2"'
        assert answer.json()["error"]["fields"] == [{"field": "version", "message": "2"}]
    assert alice.patch(path, json={"frame": WIDE}, headers={"If-Match": "2"}).json()["version"] == 3
    assert alice.patch(path, json={"settings": {}}, headers={"If-Match": "*"}).json()["version"] == 4
    assert alice.delete(f"{path}/mask").json() == {"version": 5}
    assert fields_of(alice.delete(path, headers={"If-Match": "new"}).json()) == {"If-Match"}


def test_candidates_are_made_from_the_saved_picture_mask_and_frame(
    alice: TestClient, canvas: dict[str, Any], engine: FakeEngine
) -> None:
    put_mask(alice, canvas, mask())
    alice.patch(f"/api/canvases/{canvas['id']}", json={"frame": WIDE})
    first, second = candidates(alice, canvas, count=2, seed=5, strength=0.9, only_masked=True)
    edit = first["recipe"]["edit"]
    assert (edit["frame"], edit["strength"], edit["only_masked"]) == (WIDE, 0.9, True)
    assert [job["recipe"]["seed"] for job in (first, second)] == [5, 6]
    assert opened(engine.inputs[0][edit["mask"]]).getbbox() == (16, 16, 48, 48)
    strip = state(alice, canvas)["candidates"]
    assert [(item["job"], item["status"], item["frame"]) for item in strip] == [
        (job["id"], "done", WIDE) for job in (first, second)
    ]
    assert strip[0]["image"]["width"] == 128
    assert alice.get(strip[0]["image"]["url"]).status_code == 200


def test_a_candidate_that_fails_says_why(alice: TestClient, canvas: dict[str, Any], engine: FakeEngine) -> None:
    engine.fail_with = {"code": "out_of_memory", "message": "too large for this machine"}
    candidates(alice, canvas)
    (strip,) = state(alice, canvas)["candidates"]
    assert (strip["status"], strip["image"], strip["error"]["message"]) == (
        "failed",
        None,
        "too large for this machine",
    )


def test_accepting_goes_on_from_the_candidate_and_keeps_the_others_in_the_gallery(
    alice: TestClient, canvas: dict[str, Any]
) -> None:
    root = canvas["image"]["id"]
    put_mask(alice, canvas, mask())
    chosen, other = (job["image"]["id"] for job in candidates(alice, canvas, count=2))
    after = act(alice, canvas, "accept", image_id=chosen)
    assert (after["image"]["id"], after["mask_url"], after["candidates"]) == (chosen, None, [])
    assert after["frame"] == {"x": 0, "y": 0, "width": 96, "height": 80}
    assert [(step["image_id"], step["parent_id"]) for step in after["history"]] == [(root, None), (chosen, root)]
    assert {image["id"]: image["parent_id"] for image in alice.get("/api/images").json()["images"]} == {
        root: None,
        chosen: root,
        other: root,
    }


def test_the_history_can_be_walked_and_branched(alice: TestClient, canvas: dict[str, Any]) -> None:
    root = canvas["image"]["id"]
    (first,) = (job["image"]["id"] for job in candidates(alice, canvas))
    act(alice, canvas, "accept", image_id=first)
    assert act(alice, canvas, "checkout", image_id=root)["image"]["id"] == root
    (second,) = (job["image"]["id"] for job in candidates(alice, canvas))
    after = act(alice, canvas, "accept", image_id=second)
    assert {step["image_id"]: step["parent_id"] for step in after["history"]} == {
        root: None,
        first: root,
        second: root,
    }
    assert act(alice, canvas, "checkout", image_id=first)["image"]["id"] == first


def test_discarding_takes_candidates_off_and_cancels_what_is_not_done(
    alice: TestClient, canvas: dict[str, Any], engine: FakeEngine
) -> None:
    done = candidates(alice, canvas)[0]
    engine.step_delay = 0.2
    body = {"prompt": "a lake", "steps": 150, "count": 2}
    waiting = [job["id"] for job in alice.post(f"/api/canvases/{canvas['id']}/candidates", json=body).json()["jobs"]]
    left = act(alice, canvas, "discard", job=waiting[0])
    assert [item["job"] for item in left["candidates"]] == [done["id"], waiting[1]]
    assert alice.get(f"/api/jobs/{waiting[0]}").json()["status"] == "cancelled"
    assert act(alice, canvas, "discard", job=None)["candidates"] == []
    assert alice.get(f"/api/jobs/{waiting[1]}").json()["status"] == "cancelled"
    assert alice.get(done["image"]["url"]).status_code == 200, "it stays in the gallery"


def test_only_candidates_can_be_accepted_and_only_the_history_checked_out(
    alice: TestClient, canvas: dict[str, Any]
) -> None:
    elsewhere = finished(alice)
    path = f"/api/canvases/{canvas['id']}"
    for action, body in (
        ("accept", {"image_id": elsewhere["image"]["id"]}),
        ("accept", {"image_id": canvas["image"]["id"]}),
        ("checkout", {"image_id": elsewhere["image"]["id"]}),
        ("discard", {"job": elsewhere["id"]}),
    ):
        assert alice.post(f"{path}/{action}", json=body).status_code == 404
    assert state(alice, canvas) == canvas


def test_a_picture_that_is_deleted_leaves_its_canvas_to_its_parent(alice: TestClient, canvas: dict[str, Any]) -> None:
    root = canvas["image"]["id"]
    (child,) = (job["image"]["id"] for job in candidates(alice, canvas))
    act(alice, canvas, "accept", image_id=child)
    alice.delete(f"/api/images/{child}")
    after = state(alice, canvas)
    assert (after["image"]["id"], [step["image_id"] for step in after["history"]]) == (root, [root])
    alice.delete(f"/api/images/{root}")
    assert alice.get(f"/api/canvases/{canvas['id']}").status_code == 404, "nothing is left on it"


def test_a_candidate_that_is_deleted_in_the_gallery_leaves_the_canvas_whole(
    alice: TestClient, canvas: dict[str, Any]
) -> None:
    (job,) = candidates(alice, canvas)
    alice.delete(f"/api/images/{job['image']['id']}")
    (left,) = state(alice, canvas)["candidates"]
    assert (left["status"], left["image"]) == ("done", None)
    assert act(alice, canvas, "discard", job=job["id"])["candidates"] == []


def test_a_mask_that_does_not_fit_is_refused_and_the_old_one_stays(alice: TestClient, canvas: dict[str, Any]) -> None:
    put_mask(alice, canvas, mask())
    refused = put_mask(alice, canvas, mask((64, 64)))
    assert (refused.status_code, fields_of(refused.json())) == (422, {"mask"})
    assert "64 x 64, the picture 96 x 80" in refused.text
    assert put_mask(alice, canvas, b"<svg/>").status_code == 422
    after = state(alice, canvas)
    assert (after["version"], opened(alice.get(after["mask_url"]).content).getbbox()) == (2, (16, 16, 48, 48))


def test_a_mask_that_is_black_all_over_counts_as_none(alice: TestClient, canvas: dict[str, Any]) -> None:
    put_mask(alice, canvas, mask())
    put_mask(alice, canvas, mask(box=None))
    assert state(alice, canvas)["mask_url"] is None
    assert alice.get(f"/api/canvases/{canvas['id']}/mask").status_code == 404


def test_bad_changes_are_named_and_change_nothing(alice: TestClient, canvas: dict[str, Any]) -> None:
    path = f"/api/canvases/{canvas['id']}"
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"deeper": deep}
    wrong: tuple[tuple[str, dict[str, Any], set[str]], ...] = (
        ("", {"frame": {**WIDE, "x": 96}}, {"frame"}),
        ("", {"frame": {**WIDE, "width": 100}}, {"frame.width"}),
        ("", {"settings": {"notes": "x" * 17_000}}, {"settings"}),
        ("", {"settings": []}, {"settings"}),
        ("", {"settings": deep}, {"settings"}),
        ("", {"mask": "x"}, {"mask"}),
        ("/candidates", {"prompt": " "}, {"prompt"}),
        ("/candidates", {"prompt": "a lake", "image": canvas["image"]["id"], "width": 64}, {"image", "width"}),
        ("/candidates", {"prompt": "a lake", "strength": 2}, {"strength"}),
        ("/accept", {}, {"image_id"}),
    )
    for action, body, fields in wrong:
        answer = alice.request("POST" if action else "PATCH", f"{path}{action}", json=body)
        assert (answer.status_code, fields_of(answer.json())) == (422, fields), answer.text
    for text in ('{"settings": {"zoom": NaN}}', r'{"settings": {"name": "\ud800"}}'):
        odd = alice.patch(path, content=text, headers={"content-type": "application/json"})
        assert (odd.status_code, fields_of(odd.json())) == (422, {"settings"})
    assert state(alice, canvas) == canvas


def test_a_stranger_finds_no_canvas(alice: TestClient, charlie: TestClient, canvas: dict[str, Any]) -> None:
    put_mask(alice, canvas, mask())
    before, path = state(alice, canvas), f"/api/canvases/{canvas['id']}"
    image_id = canvas["image"]["id"]
    asked = [
        charlie.get(path),
        charlie.get(before["mask_url"]),
        put_mask(charlie, canvas, mask()),
        charlie.delete(f"{path}/mask"),
        charlie.patch(path, json={"frame": WIDE}),
        charlie.post(f"{path}/candidates", json={"prompt": "a lake"}),
        charlie.post(f"{path}/accept", json={"image_id": image_id}),
        charlie.post(f"{path}/discard", json={"job": None}),
        charlie.post(f"{path}/checkout", json={"image_id": image_id}),
        charlie.delete(path),
        charlie.post("/api/canvases", json={"image_id": image_id}),
        charlie.post("/canvas", data={"image_id": image_id}),
    ]
    assert [answer.status_code for answer in asked] == [404] * len(asked)
    assert charlie.get("/api/canvases").json() == {"canvases": [], "next": None}
    assert state(alice, canvas) == before


def test_deleting_a_canvas_leaves_its_images(alice: TestClient, canvas: dict[str, Any]) -> None:
    (job,) = candidates(alice, canvas)
    assert alice.delete(f"/api/canvases/{canvas['id']}").status_code == 204
    assert alice.get(f"/api/canvases/{canvas['id']}").status_code == 404
    assert alice.get(f"/api/jobs/{job['id']}").json()["status"] == "done"
    assert len(alice.get("/api/images").json()["images"]) == 2


def test_one_may_keep_only_so_many(settings: Settings, build: Callable[[Settings], FastAPI]) -> None:
    with TestClient(build(settings.model_copy(update={"max_canvases": 1})), base_url=ADDRESS) as alice:
        image = uploaded(alice)
        canvas = created(alice, image["id"])
        refused = alice.post("/api/canvases", json={"image_id": image["id"]})
        assert (refused.status_code, "delete one" in refused.text) == (409, True)
        alice.delete(f"/api/canvases/{canvas['id']}")
        created(alice, image["id"])


def test_a_picture_too_large_for_a_canvas_is_offered_none(alice: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "MAX_SIDE", 64)  # as if the second pass had enlarged it beyond 2048
    large, small = uploaded(alice), finished(alice)["image"]
    refused = alice.post("/api/canvases", json={"image_id": large["id"]})
    assert (refused.status_code, "96 x 80; a canvas holds pictures of up to 2048" in refused.text) == (422, True)
    assert "on the canvas" not in alice.get(f"/images/{large['id']}").text
    assert "on the canvas" in alice.get(f"/images/{small['id']}").text


def test_a_form_opens_a_canvas_of_an_image_once_and_of_a_file(alice: TestClient) -> None:
    image = uploaded(alice)
    first = alice.post("/canvas", data={"image_id": image["id"]}, follow_redirects=False)
    again = alice.post("/canvas", data={"image_id": image["id"]}, follow_redirects=False)
    assert first.status_code == again.status_code == 303
    assert first.headers["location"] == again.headers["location"]
    dropped = alice.post("/canvas", files={"file": ("a.png", file(), "image/png")}, follow_redirects=False)
    assert dropped.headers["location"].startswith("/canvas/")
    assert len(alice.get("/api/canvases").json()["canvases"]) == 2
    assert len(alice.get("/api/images").json()["images"]) == 2
    nothing = alice.post("/canvas", data={}, headers={"accept": "text/html"})
    assert (nothing.status_code, "Choose a picture" in nothing.text) == (422, True)
