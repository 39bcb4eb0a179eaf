"""The pages of the canvas as the server sends them: whose they are, and what they begin with."""

from __future__ import annotations

import re

from starlette.testclient import TestClient

from app.web.templating import STATIC
from tests.api.asking import finished
from tests.pages.painting import picture

HTML = {"Accept": "text/html"}


def begun(browser: TestClient) -> str:
    """Upload a picture by the form of the page and return the address that it leads to."""
    files = {"file": ("picture.png", picture(), "image/png")}
    answer = browser.post("/canvas", files=files, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


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
    for name, value in {"steps": "6", "guidance_scale": "3", "strength": "0.75", "grow": "8", "mask_blur": "4"}.items():
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


def test_every_module_is_loaded_and_every_import_is_there() -> None:
    modules = {path.name: path.read_text() for path in (STATIC / "js" / "canvas").glob("*.js")}
    imported = {name for text in modules.values() for name in re.findall(r'from "\./([\w-]+\.js)"', text)}
    assert imported == modules.keys() - {"main.js", "landing.js"}
    outside = {name for text in modules.values() for name in re.findall(r'from "\.\./([\w-]+\.js)"', text)}
    assert all((STATIC / "js" / name).is_file() for name in outside)
