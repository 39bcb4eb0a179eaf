"""Uploading pictures: what is taken appears in the gallery, what is not leaves nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.settings import Settings
from tests.api.asking import fields_of, finished
from tests.api.conftest import ADDRESS
from tests.api.picturing import encoded, file, opened, uploaded

PNG = {"content-type": "image/png"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def files(settings: Settings) -> list[Path]:
    return [path for path in settings.images.rglob("*") if path.is_file()]


def test_an_upload_is_an_image_like_others_and_says_that_it_is_one(alice: TestClient) -> None:
    made = uploaded(alice, file((96, 80)))
    assert (made["origin"], made["recipe"], made["parent_id"], made["children"]) == ("upload", None, None, [])
    assert (made["width"], made["height"]) == (96, 80)
    assert [image["id"] for image in alice.get("/api/images").json()["images"]] == [made["id"]]
    kept = opened(alice.get(made["url"]).content)
    assert (kept.size, kept.getpixel((3, 3)), kept.text) == ((96, 80), (40, 90, 160), {})  # type: ignore[attr-defined]
    assert alice.get(made["thumbnail_url"]).status_code == 200


def test_a_picture_may_be_a_field_of_a_form(alice: TestClient) -> None:
    answer = alice.post("/api/images", files={"file": ("a.jpg", file(kind="JPEG"), "image/jpeg")})
    assert answer.status_code == 201
    missing = alice.post("/api/images", files={"picture": ("a.jpg", file(kind="JPEG"), "image/jpeg")})
    assert (missing.status_code, fields_of(missing.json())) == (422, {"file"})


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", {"content-type": "image/svg+xml"}, 422),
        (b"", PNG, 422),
        (file()[:-30], PNG, 422),
        (file(), FORM, 415),
        (b"{}", {"content-type": "application/json"}, 415),
        (file(), {}, 415),
    ],
    ids=["svg", "empty", "cut", "form", "json", "no type"],
)
def test_a_refused_upload_leaves_nothing(
    alice: TestClient, settings: Settings, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = alice.post("/api/images", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]["fields"], "the field is named"
    assert not files(settings)
    assert alice.get("/api/images").json()["images"] == []


def test_a_stranger_sees_nothing_of_an_upload(alice: TestClient, charlie: TestClient) -> None:
    made = uploaded(alice)
    for method, path in (
        ("GET", f"/api/images/{made['id']}"),
        ("GET", made["url"]),
        ("GET", made["thumbnail_url"]),
        ("DELETE", f"/api/images/{made['id']}"),
        ("GET", f"/images/{made['id']}"),
    ):
        assert charlie.request(method, path).status_code == 404
    assert charlie.get("/api/images").json()["images"] == []
    assert alice.get(made["url"]).status_code == 200


def test_another_site_cannot_upload(alice: TestClient, settings: Settings) -> None:
    answer = alice.post("/api/images", content=file(), headers={**PNG, "sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert not files(settings)


def test_one_may_keep_only_so_many(settings: Settings, build: Callable[[Settings], FastAPI]) -> None:
    few = settings.model_copy(update={"max_uploads": 1})
    with TestClient(build(few), base_url=ADDRESS) as alice:
        made = uploaded(alice)
        refused = alice.post("/api/images", content=file((9, 9)), headers=PNG)
        assert (refused.status_code, "1 picture" in refused.text) == (409, True)
        assert len(files(few)) <= 2, "the first, and its thumbnail"
        assert finished(alice)["status"] == "done", "making pictures is another matter"
        assert alice.delete(f"/api/images/{made['id']}").status_code == 204
        uploaded(alice, file((9, 9)))


def test_a_link_to_an_upload_shows_it_without_claiming_that_it_was_generated(
    alice: TestClient, charlie: TestClient
) -> None:
    made = uploaded(alice)
    url = alice.post(f"/api/images/{made['id']}/share").json()["url"]
    path = url.removeprefix(ADDRESS)
    page = charlie.get(path).text
    assert "Made by a machine" not in page
    picture = charlie.get(f"{path}.png")
    assert picture.status_code == 200
    assert b"AlgorithmicMedia" not in picture.content


def test_a_photograph_stands_upright_in_the_gallery(alice: TestClient) -> None:
    photo = opened(file((20, 10)))
    exif = photo.getexif()
    exif[0x0112] = 6
    made = uploaded(alice, encoded(photo, "JPEG", exif=exif))
    assert (made["width"], made["height"]) == (10, 20)
