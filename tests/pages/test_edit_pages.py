"""Uploads and edits on the pages: where editing begins, what was made from what, and making it again."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

from tests.api.asking import fields_of, finished, wait_for
from tests.api.picturing import file, mask, text, uploaded

FRAME = {"x": -32, "y": 0, "width": 128, "height": 80}


def edited(browser: TestClient, image_id: str) -> dict[str, Any]:
    how = {"scale_mask": True, "frame": FRAME, "strength": 0.6, "seed": 4}
    body = {"prompt": "a lake", "image": image_id, "mask": text(mask()), **how}
    job = browser.post("/api/jobs", json=body).json()["jobs"][0]["id"]
    return wait_for(browser, job, "done")


def hidden_fields(html: str) -> dict[str, str]:
    """The values of the form's inputs, as a browser would send them."""
    form = html[html.index('<form id="recipe"') :]
    inputs = re.findall(r"<input (?![^>]*type=\"(?:radio|checkbox|range)\")[^>]*>", form)
    fields = {}
    for tag in inputs:
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and value:
            fields[name[1]] = unescape(value[1])
    return fields


def test_the_gallery_marks_uploads_and_nothing_else(alice: TestClient) -> None:
    made, upload = finished(alice)["image"]["id"], uploaded(alice)["id"]
    tiles = dict(re.findall(r'<li id="tile-([^"]+)">(.*?)</li>', alice.get("/images").text))
    assert ("Upload" in tiles[upload], "Upload" in tiles[made]) == (True, False)
    assert 'alt="An uploaded picture"' in tiles[upload]


@pytest.mark.parametrize("path", ["/", "/images"])
def test_editing_begins_from_a_file_in_studio_and_gallery(alice: TestClient, path: str) -> None:
    page = alice.get(path).text
    assert re.search(r'<form [^>]*class="start[^>]* method="post" [^>]*enctype="multipart/form-data"', page)
    assert 'action="/canvas"' in page


def test_the_page_of_an_upload_offers_the_canvas_and_no_recipe(alice: TestClient) -> None:
    page = alice.get(f"/images/{uploaded(alice)['id']}").text
    assert "Edit on the canvas" in page
    assert "Uploaded <time" in page
    assert "Use these settings" not in page
    assert 'id="recipe-title"' not in page


def test_a_picture_shows_what_it_was_made_from_and_what_was_made_from_it(alice: TestClient) -> None:
    root = uploaded(alice)["id"]
    child = edited(alice, root)["image"]["id"]
    grandchild = edited(alice, child)["image"]["id"]
    page = alice.get(f"/images/{child}").text
    above, _, below = page.partition("Made from this")
    assert f'href="/images/{root}"' in above[above.index("Made from") :]
    assert f'href="/images/{grandchild}"' in below
    assert "a picture and a mask" in page
    alone = alice.get(f"/images/{finished(alice)['image']['id']}").text
    assert "Made from" not in alone


def test_the_settings_of_an_edit_make_it_again(alice: TestClient) -> None:
    job = edited(alice, uploaded(alice)["id"])
    page = alice.get(f"/?image={job['image']['id']}").text
    fields = hidden_fields(page)
    assert fields["frame"] == "-32,0,128,80"
    assert 'id="size-width"' not in page
    sent = alice.post("/jobs", data={**fields, "prompt": "a lake", "sampler": "ddim"}, follow_redirects=False)
    assert sent.status_code == 303, sent.text
    again = wait_for(alice, str(re.findall(r"job=([^&]+)", sent.headers["location"])[0]), "done")
    assert again["recipe"] == job["recipe"]
    assert again["image"]["pixel_sha256"] == job["image"]["pixel_sha256"]


def test_another_checkpoint_keeps_what_an_edit_begins_from(alice: TestClient) -> None:
    edit = edited(alice, uploaded(alice)["id"])["recipe"]["edit"]
    query = {"image": f"sha256:{edit['image']}", "mask": f"sha256:{edit['mask']}", "frame": "-32,0,128,80"}
    fields = hidden_fields(alice.get("/", params={**query, "checkpoint": "bare", "width": "128", "height": "80"}).text)
    assert {name: fields[name] for name in query} == query
    assert (fields["width"], fields["height"]) == ("128", "80")


def test_a_stranger_cannot_make_an_edit_again(alice: TestClient, charlie: TestClient) -> None:
    job = edited(alice, uploaded(alice)["id"])
    edit = job["recipe"]["edit"]
    assert charlie.get(f"/?image={job['image']['id']}").status_code == 404
    body = {"prompt": "a lake", "image": f"sha256:{edit['image']}"}
    assert fields_of(charlie.post("/api/jobs", json=body).json()) == {"image"}
    page = charlie.post("/jobs", data=body)
    assert (page.status_code, "There is no such image of yours" in page.text) == (422, True)


def test_the_file_of_an_edit_fills_the_form_where_its_picture_is_kept(alice: TestClient, charlie: TestClient) -> None:
    image = edited(alice, uploaded(alice)["id"])["image"]
    png = alice.get(image["url"]).content
    found = hidden_fields(alice.post("/inspect", files={"file": ("a.png", png, "image/png")}).text)
    assert found["mask"].startswith("sha256:")
    assert found == hidden_fields(alice.get(f"/?image={image['id']}").text)
    page = charlie.post("/inspect", files={"file": ("a.png", png, "image/png")}).text
    assert "The picture and the mask that it was made from cannot be found here." in page
    assert hidden_fields(page).get("image", "") == ""


def test_deleting_says_what_stays(alice: TestClient) -> None:
    root = uploaded(alice)["id"]
    assert "What was made from it stays" not in alice.get(f"/images/{root}/delete").text
    edited(alice, root)
    assert "What was made from it stays" in alice.get(f"/images/{root}/delete").text


@pytest.mark.browser
def test_a_file_that_is_chosen_opens_on_the_canvas(page: Page, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(file())
    page.goto("/images")
    page.get_by_label("Start from a picture").set_input_files(picture)
    expect(page).to_have_url(re.compile(r"/canvas/[\w-]{22}$"))


@pytest.mark.browser
def test_a_file_that_is_no_picture_is_refused_in_place(page: Page, tmp_path: Path) -> None:
    drawing = tmp_path / "a.png"
    drawing.write_bytes(b"<svg/>")
    page.goto("/images")
    page.get_by_label("Start from a picture").set_input_files(drawing)
    expect(page.get_by_text("This is no PNG, JPEG or WebP file.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/images$"))
