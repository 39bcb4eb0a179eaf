"""Asking for images that begin from another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from starlette.testclient import TestClient

from app.settings import Settings
from tests.api.asking import SMALL, fields_of, finished, post, wait_for
from tests.api.conftest import ADDRESS
from tests.api.picturing import encoded, file, mask, opened, text, uploaded
from tests.app.fake_engine import FakeEngine

PLAIN = {"prompt": "a lake", "steps": 2}
COMPOSITE = b"digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
TRAINED = b"digitalsourcetype/trainedAlgorithmicMedia"


def frame(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "width": width, "height": height}


def edited(browser: TestClient, **fields: Any) -> dict[str, Any]:
    """Have one edit made and return its job."""
    answer = browser.post("/api/jobs", json={**PLAIN, **fields})
    assert answer.status_code == 202, answer.text
    return wait_for(browser, answer.json()["jobs"][0]["id"], "done", "failed")


def files(settings: Settings) -> list[Path]:
    return [path for path in settings.images.rglob("*") if path.is_file()]


def test_the_engine_is_given_the_files_that_the_recipe_names(alice: TestClient, engine: FakeEngine) -> None:
    parent = uploaded(alice)
    job = edited(alice, image=parent["id"], mask=text(mask()), strength=0.6, grow=3, infill="mirror")
    edit = job["recipe"]["edit"]
    assert (edit["strength"], edit["grow"], edit["infill"], edit["padding"]) == (0.6, 3, "mirror", 32)
    assert (job["recipe"]["width"], job["recipe"]["height"]) == (96, 80)
    given = engine.inputs[-1]
    assert given.keys() == {edit["image"], edit["mask"]}
    assert opened(given[edit["image"]]).getpixel((0, 0)) == (40, 90, 160)
    assert opened(given[edit["mask"]]).getbbox() == (16, 16, 48, 48)


def test_a_form_says_the_same_as_json(alice: TestClient) -> None:
    by_json = edited(alice, seed=5, image=text(file()), mask=text(mask()), frame=frame(-8, 0, 104, 80))
    answer = alice.post(
        "/api/jobs",
        data={**PLAIN, "seed": "5", "frame": "-8,0,104,80"},
        files={"image": ("a.png", file(), "image/png"), "mask": ("m.png", mask(), "image/png")},
    )
    assert answer.status_code == 202, answer.text
    by_form = wait_for(alice, answer.json()["jobs"][0]["id"], "done")
    assert by_form["recipe"] == by_json["recipe"]
    assert by_form["image"]["pixel_sha256"] == by_json["image"]["pixel_sha256"]


def test_an_edit_names_its_parent_and_the_parent_its_children(alice: TestClient) -> None:
    parent = finished(alice)["image"]["id"]
    first, second = (edited(alice, image=parent, seed=seed)["image"]["id"] for seed in (1, 2))
    grandchild = edited(alice, image=first)["image"]["id"]
    images = {image["id"]: image for image in alice.get("/api/images").json()["images"]}
    assert {name: image["parent_id"] for name, image in images.items()} == {
        parent: None,
        first: parent,
        second: parent,
        grandchild: first,
    }
    assert (images[parent]["children"], images[first]["children"]) == ([first, second], [grandchild])


def test_children_of_a_deleted_parent_stay_and_belong_to_its_own_parent(alice: TestClient) -> None:
    parent = finished(alice)["image"]["id"]
    child = edited(alice, image=parent)["image"]["id"]
    grandchild = edited(alice, image=child)["image"]
    assert alice.delete(f"/api/images/{child}").status_code == 204
    left = alice.get(f"/api/images/{grandchild['id']}").json()
    assert left["parent_id"] == parent
    assert alice.get(grandchild["url"]).status_code == 200
    assert alice.delete(f"/api/images/{parent}").status_code == 204
    assert alice.get(f"/api/images/{grandchild['id']}").json()["parent_id"] is None


def test_the_recipe_is_enough_to_make_an_edit_again_when_its_parent_has_been_deleted(alice: TestClient) -> None:
    parent = uploaded(alice)
    job = edited(alice, image=parent["id"], mask=text(mask()), seed=9)
    assert alice.delete(f"/api/images/{parent['id']}").status_code == 204
    edit = job["recipe"]["edit"]
    again = edited(alice, image=f"sha256:{edit['image']}", mask=f"sha256:{edit['mask']}", seed=9)
    assert again["recipe"] == job["recipe"]
    assert again["image"]["pixel_sha256"] == job["image"]["pixel_sha256"]


def test_a_failed_edit_can_be_tried_again(alice: TestClient, engine: FakeEngine) -> None:
    engine.fail_with = {"code": "out_of_memory", "message": "too large"}
    parent = uploaded(alice)
    job = edited(alice, image=parent["id"], mask=text(mask()))
    assert job["status"] == "failed"
    assert alice.delete(f"/api/images/{parent['id']}").status_code == 204
    engine.fail_with = None
    alice.post(f"/jobs/{job['id']}/retry", headers={"HX-Request": "true"})
    assert wait_for(alice, job["id"], "done")["recipe"] == job["recipe"]


def test_a_job_whose_picture_is_missing_fails_and_says_so(
    alice: TestClient, engine: FakeEngine, settings: Settings
) -> None:
    engine.state = "loading"  # nothing is claimed
    parent = uploaded(alice)
    job = alice.post("/api/jobs", json={**PLAIN, "image": parent["id"]}).json()["jobs"][0]["id"]
    for path in settings.images.rglob("*.png"):
        path.write_bytes(b"damaged")
    engine.state = "ready"
    failed = wait_for(alice, job, "failed", "done")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "missing_input")
    assert "upload it again" in failed["error"]["message"]


def test_what_is_made_from_an_upload_is_marked_a_composite_and_its_edits_too(alice: TestClient) -> None:
    first = edited(alice, image=uploaded(alice)["id"])["image"]
    second = edited(alice, image=first["id"])["image"]
    generated = edited(alice, image=finished(alice)["image"]["id"])["image"]
    contents = [alice.get(image["url"]).content for image in (first, second, generated)]
    assert [(COMPOSITE in content, TRAINED in content) for content in contents] == [
        (True, False),
        (True, False),
        (False, True),
    ]


def test_a_link_to_an_edit_shows_nothing_of_its_parent(alice: TestClient, charlie: TestClient) -> None:
    parent = uploaded(alice)
    job = edited(alice, image=parent["id"], mask=text(mask()))
    url = alice.post(f"/api/images/{job['image']['id']}/share", json={"show_recipe": True}).json()["url"]
    path = url.removeprefix(ADDRESS)
    page, picture = charlie.get(path), charlie.get(f"{path}.png")
    assert "a lake" in page.text
    for secret in (parent["id"], job["image"]["id"], *(job["recipe"]["edit"][name] for name in ("image", "mask"))):
        assert secret not in page.text
        assert secret.encode() not in picture.content
    assert b"a lake" in picture.content, "the recipe itself was shared"
    again = charlie.get(f"/?share={path.removeprefix('/s/')}")
    assert (again.status_code, "sha256:" in again.text) == (200, False)


def test_a_stranger_cannot_begin_from_an_image_of_another(
    alice: TestClient, charlie: TestClient, settings: Settings
) -> None:
    parent = uploaded(alice)
    job = edited(alice, image=parent["id"])
    before = len(files(settings))
    for name in (parent["id"], f"sha256:{job['recipe']['edit']['image']}", job["image"]["id"]):
        refused = charlie.post("/api/jobs", json={**PLAIN, "image": name})
        assert (refused.status_code, fields_of(refused.json())) == (422, {"image"})
        masked = charlie.post("/api/jobs", json={**PLAIN, "image": text(file()), "mask": name})
        assert (masked.status_code, fields_of(masked.json())) == (422, {"mask"})
    assert len(files(settings)) == before


SVG = text(b"<svg/>")
WRONG: dict[str, tuple[dict[str, Any], set[str], str]] = {
    "mask of another size": (
        {"mask": text(mask((64, 64)))},
        {"mask"},
        "64 x 64, the picture 96 x 80; they must be the same. Ask for `scale_mask`",
    ),
    "frame beside the picture": ({"frame": frame(96, 0, 64, 64)}, {"frame"}, "does not touch"),
    "frame above the picture": ({"frame": frame(0, -64, 64, 64)}, {"frame"}, "does not touch"),
    "frame of odd size": ({"frame": frame(0, 0, 65, 64)}, {"frame.width"}, "multiple of 8"),
    "frame that is too large": ({"frame": frame(0, 0, 2056, 64)}, {"frame.width"}, "2048"),
    "frame without a corner": ({"frame": {"width": 64, "height": 64}}, {"frame.x", "frame.y"}, ""),
    "frame of another size than asked": ({"width": 64, "height": 64}, {"size"}, "must be the same"),
    "strength above 1": ({"strength": 1.01}, {"strength"}, ""),
    "strength below 0": ({"strength": -0.1}, {"strength"}, ""),
    "strength as text": ({"strength": "0.5"}, {"strength"}, ""),
    "growth beyond bounds": ({"grow": 257}, {"grow"}, ""),
    "blur beyond bounds": ({"mask_blur": 65}, {"mask_blur"}, ""),
    "padding beyond bounds": ({"padding": 513}, {"padding"}, ""),
    "unknown infill": ({"infill": "magic"}, {"infill"}, "mirror"),
    "unknown masked content": ({"masked_content": "magic"}, {"masked_content"}, "latent_noise"),
    "a well without a bottom": ({"frame": '{"x":' + "[" * 100_000}, {"frame"}, "must be x,y,width,height"),
    "svg": ({"image": SVG}, {"image"}, "no PNG, JPEG or WebP"),
    "svg as a mask": ({"mask": SVG}, {"mask"}, "no PNG, JPEG or WebP"),
    "no base64": ({"image": "what?"}, {"image"}, "neither the id"),
    "an image that is none": ({"image": "A" * 22}, {"image"}, "no such image of yours"),
    "a hash of nothing": ({"image": f"sha256:{'0' * 64}"}, {"image"}, "no such image of yours"),
    "an address": ({"image": "http://127.0.0.1/a.png"}, {"image"}, "neither the id"),
    "too wide": ({"image": text(encoded(Image.new("1", (2049, 8))))}, {"image"}, "2049 x 8"),
    "enlarging what is kept in part": ({"mask": text(mask()), "hires_scale": 2.0}, {"hires_scale"}, "as a whole"),
    "unknown field": ({"mask_image": "x"}, {"mask_image"}, ""),
}


def test_bad_input_is_named_and_leaves_nothing(alice: TestClient, settings: Settings) -> None:
    for name, (changes, fields, said) in WRONG.items():
        answer = alice.post("/api/jobs", json={**PLAIN, "image": text(file()), **changes})
        assert (answer.status_code, fields_of(answer.json())) == (422, fields), f"{name}: {answer.text}"
        assert said in answer.text, name
    assert not files(settings)


def test_settings_of_an_edit_need_a_picture(alice: TestClient) -> None:
    answer = alice.post("/api/jobs", json={**PLAIN, "mask": text(mask()), "strength": 0.5})
    assert (answer.status_code, fields_of(answer.json())) == (422, {"mask", "strength"})


def test_a_mask_may_be_scaled_if_asked(alice: TestClient, engine: FakeEngine) -> None:
    job = edited(alice, image=text(file()), mask=text(mask((48, 40), (8, 8, 24, 24))), scale_mask=True)
    assert opened(engine.inputs[-1][job["recipe"]["edit"]["mask"]]).size == (96, 80)


def test_a_field_of_a_form_may_not_be_sent_twice_or_as_another_file(alice: TestClient) -> None:
    twice = [("image", ("a.png", file(), "image/png")), ("image", ("b.png", file(), "image/png"))]
    assert fields_of(alice.post("/api/jobs", data=PLAIN, files=twice).json()) == {"image"}
    other = {"prompt": ("a.txt", b"a lake", "text/plain")}
    assert fields_of(alice.post("/api/jobs", data={"steps": "2"}, files=other).json()) == {"prompt"}


def test_one_key_stands_for_one_edit(alice: TestClient, engine: FakeEngine) -> None:
    body = {**PLAIN, "image": text(file()), "seed": 3}
    first = alice.post("/api/jobs", json=body, headers={"Idempotency-Key": "one"})
    again = alice.post("/api/jobs", json=body, headers={"Idempotency-Key": "one"})
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["group"] == again.json()["group"]
    wait_for(alice, first.json()["jobs"][0]["id"], "done")
    assert len(engine.inputs) == 1


def test_a_key_outlives_the_picture_that_its_edit_began_from(alice: TestClient) -> None:
    image, headers = uploaded(alice), {"Idempotency-Key": "one"}
    body = {**PLAIN, "image": image["id"]}
    first = alice.post("/api/jobs", json=body, headers=headers).json()
    wait_for(alice, first["jobs"][0]["id"], "done")
    alice.delete(f"/api/images/{image['id']}")
    again = alice.post("/api/jobs", json=body, headers=headers)
    assert (again.status_code, again.json()["group"]) == (200, first["group"])


def test_text_to_image_goes_on_as_before(alice: TestClient, engine: FakeEngine) -> None:
    assert SMALL["width"] == 64
    job = wait_for(alice, post(alice)["jobs"][0]["id"], "done")
    assert job["recipe"]["edit"] is None
    assert engine.inputs == [{}]
