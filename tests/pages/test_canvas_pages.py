"""The pages of the canvas as the server sends them: whose they are, and what they begin with."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from app.web.pages import canvas as pages
from app.web.templating import STATIC
from models.edit import Edit
from tests.api.asking import finished
from tests.api.canvassing import act, candidates, created
from tests.api.picturing import uploaded
from tests.pages.painting import picture

HTML = {"Accept": "text/html"}


def begun(browser: TestClient) -> str:
    """Upload a picture by the form of the page and return the address that it leads to."""
    files = {"file": ("picture.png", picture(), "image/png")}
    answer = browser.post("/canvas", files=files, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_a_file_that_is_no_picture_is_named_once(alice: TestClient) -> None:
    refused = alice.post("/canvas", files={"file": ("a.svg", b"<svg/>", "image/svg+xml")}, headers=HTML)
    assert refused.status_code == 422
    assert refused.text.count("This is no PNG, JPEG or WebP file.") == 1
    assert alice.get("/api/images").json()["images"] == []
    page = alice.get("/canvas?before=x", headers=HTML)
    assert (page.status_code, "<code>next</code>" in page.text) == (422, True)


def test_it_says_where_to_begin_as_long_as_there_is_no_canvas(alice: TestClient) -> None:
    page = alice.get("/canvas").text
    assert "No canvas yet" in page
    assert 'enctype="multipart/form-data"' in page
    assert '<a href="/canvas" aria-current="page">' in page


def test_a_canvas_of_lately_is_listed_with_its_picture(alice: TestClient, charlie: TestClient) -> None:
    path = begun(alice)
    page = alice.get("/canvas").text
    assert f'<a href="{path}"><img src="/images/' in page
    assert "No canvas yet" not in page
    assert path not in charlie.get("/canvas").text


def test_a_stranger_does_not_find_it(alice: TestClient, charlie: TestClient) -> None:
    path = begun(alice)
    assert alice.get(path).status_code == 200
    assert charlie.get(path, headers=HTML).status_code == 404
    assert alice.get("/canvas/nothing", headers=HTML).status_code == 404
    assert alice.put(path).status_code == 405


def test_it_begins_with_the_defaults_of_the_checkpoint_and_of_an_edit(alice: TestClient) -> None:
    page = alice.get(begun(alice)).text
    edit = {name: f"{Edit.model_fields[name].default:g}" for name in ("strength", "grow", "mask_blur", "padding")}
    for name, value in {"steps": "6", "guidance_scale": "3", **edit}.items():
        assert re.search(rf'<input type="number" id="{name}" name="{name}" value="{value}"', page), name
    assert 'data-grain="8"' in page


def test_it_begins_with_the_prompt_of_a_picture_that_has_one(alice: TestClient) -> None:
    image_id = finished(alice, prompt="mountains & a lake", negative_prompt="fog")["image"]["id"]
    assert 'action="/canvas"' in alice.get(f"/images/{image_id}").text
    path = alice.post("/canvas", data={"image_id": image_id}, follow_redirects=False).headers["location"]
    page = alice.get(path).text
    assert ">mountains &amp; a lake</textarea>" in page
    assert ">fog</textarea>" in page


def test_a_picture_comes_back_to_the_canvas_that_holds_it(alice: TestClient) -> None:
    image_id = finished(alice)["image"]["id"]
    paths = {alice.post("/canvas", data={"image_id": image_id}).url.path for _ in range(2)}
    assert len(paths) == 1


def test_canvases_come_in_pages_the_one_used_last_first(alice: TestClient) -> None:
    image = uploaded(alice)
    made = [created(alice, image["id"])["id"] for _ in range(5)]
    act(alice, {"id": made[1]}, "discard")
    found, before = list[str](), dict[str, str]()
    for size in (2, 2, 1):
        page = alice.get("/api/canvases", params={"limit": 2, **before}).json()
        assert len(page["canvases"]) == size
        found += [canvas["id"] for canvas in page["canvases"]]
        before = {"before": page["next"]}
    assert page["next"] is None
    assert found[0] == made[1]
    assert sorted(found) == sorted(made)
    assert alice.get("/api/canvases", params={"before": "yesterday"}).status_code == 422


def test_more_canvases_than_a_page_shows_are_a_click_away(alice: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_SIZE", 2)
    paths = [begun(alice) for _ in range(3)]
    first = alice.get("/canvas").text
    assert [path in first for path in paths] == [False, True, True]
    more = re.search(r'href="(/canvas\?before=[^"]+)"', first)
    assert more is not None
    assert paths[0] in alice.get(more[1]).text
    fragment = alice.get(more[1], headers={"HX-Request": "true"}).text
    assert fragment.startswith('<hx-partial hx-target="#canvases"')
    assert (paths[0] in fragment, "<html" in fragment, 'id="more"' in fragment) == (True, False, True)


def test_a_picture_that_a_program_made_here_is_edited_as_a_copy_in_ones_own_gallery(
    alice: TestClient, charlie: TestClient
) -> None:
    alice.post("/sdapi/v1/txt2img", json={"prompt": "a lake", "steps": 2})
    (tile,) = re.findall(r'<li id="tile-([^"]+)">', alice.get("/images?of=programs").text)
    assert "Edit a copy on the canvas" in alice.get(f"/images/{tile}").text
    path = alice.post("/canvas", data={"image_id": tile}, follow_redirects=False).headers["location"]
    assert ">a lake</textarea>" in alice.get(path).text
    (image,) = alice.get("/api/images").json()["images"]
    assert image["id"] != tile
    assert alice.get(f"/images/{image['id']}.png").content == alice.get(f"/images/{tile}.png").content
    assert alice.post("/canvas", data={"image_id": tile}, follow_redirects=False).headers["location"] == path
    assert charlie.get(path, headers=HTML).status_code == 404
    assert charlie.get("/api/images").json()["images"] == []
    alice.delete(f"/api/images/{image['id']}")
    assert alice.get(f"/images/{tile}.png").status_code == 200


def test_every_module_is_loaded_and_every_import_is_there() -> None:
    modules = {path.name: path.read_text() for path in (STATIC / "js" / "canvas").glob("*.js")}
    imported = {name for text in modules.values() for name in re.findall(r'(?:from |new URL\()"\./([\w-]+\.js)"', text)}
    assert imported == modules.keys() - {"main.js", "landing.js"}
    outside = {name for text in modules.values() for name in re.findall(r'from "\.\./([\w-]+\.js)"', text)}
    assert all((STATIC / "js" / name).is_file() for name in outside)


def test_whoever_deletes_a_picture_is_told_of_the_canvas_that_holds_no_other(alice: TestClient) -> None:
    image_id = finished(alice)["image"]["id"]
    warning = "The canvas that holds no other picture goes with it."
    addresses = [f"/images/{image_id}", f"/images/{image_id}/delete"]
    assert [warning in alice.get(address).text for address in addresses] == [False, False]
    canvas = created(alice, image_id)
    assert [warning in alice.get(address).text for address in addresses] == [True, True]
    (job,) = candidates(alice, canvas)
    assert warning not in alice.get(f"/images/{job['image']['id']}/delete").text
    act(alice, canvas, "accept", image_id=job["image"]["id"])
    assert [warning in alice.get(f"/images/{one}/delete").text for one in (image_id, job["image"]["id"])] == [False] * 2
