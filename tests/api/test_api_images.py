"""Images as JSON and as bytes: complete for their owner, absent for everybody else."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.settings import Settings
from tests.api.asking import fields_of, finished, post, wait_for
from tests.app.fake_engine import FakeEngine

SANDBOX = "sandbox; default-src 'none'"


def pixels(content: bytes, kind: str) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=[kind])
    image.load()
    return image


def test_it_serves_the_pixels_of_the_recipe(alice: TestClient) -> None:
    job = finished(alice)
    response = alice.get(job["image"]["url"])
    picture = pixels(response.content, "PNG")
    assert hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest() == job["image"]["pixel_sha256"]
    assert f'filename="mezzotint-{job["image"]["id"]}.png"' in response.headers["content-disposition"]


@pytest.mark.parametrize("ending", [".png", "/thumbnail.webp"])
def test_it_locks_image_answers_in(alice: TestClient, ending: str) -> None:
    response = alice.get(f"/images/{finished(alice)['image']['id']}{ending}")
    assert response.status_code == 200
    assert response.headers["content-security-policy"] == SANDBOX
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert response.headers["cache-control"].startswith("private")


def test_it_does_not_send_again_what_the_browser_has(alice: TestClient) -> None:
    url = finished(alice)["image"]["url"]
    etag = alice.get(url).headers["etag"]
    again = alice.get(url, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert alice.get(url, headers={"If-None-Match": '"another"'}).status_code == 200


def test_it_ignores_ranges(alice: TestClient) -> None:
    url = finished(alice)["image"]["url"]
    response = alice.get(url, headers={"Range": "bytes=0-1,0-1,0-1"})
    assert (response.status_code, response.content) == (200, alice.get(url).content)


def test_it_answers_head(alice: TestClient) -> None:
    url = finished(alice)["image"]["url"]
    assert alice.head(url).headers["content-type"] == "image/png"


def test_a_thumbnail_is_a_webp_of_the_same_picture(alice: TestClient) -> None:
    image_id = finished(alice, width=640, height=320)["image"]["id"]
    response = alice.get(f"/images/{image_id}/thumbnail.webp")
    assert response.headers["content-type"] == "image/webp"
    assert pixels(response.content, "WEBP").size == (320, 160)


def test_it_hides_images_from_a_stranger(alice: TestClient, charlie: TestClient) -> None:
    image_id = finished(alice)["image"]["id"]
    for url in (f"/images/{image_id}.png", f"/images/{image_id}/thumbnail.webp", f"/api/images/{image_id}"):
        assert charlie.get(url).status_code == 404
        assert alice.get(url).status_code == 200
    assert charlie.delete(f"/api/images/{image_id}").status_code == 404
    assert charlie.get("/api/images").json() == {"images": [], "next": None}


def test_it_lists_images_in_pages_newest_first(alice: TestClient) -> None:
    made = [finished(alice, seed=seed)["image"]["id"] for seed in (1, 2, 3)]
    first = alice.get("/api/images?limit=2").json()
    rest = alice.get(f"/api/images?limit=2&before={first['next']}").json()
    assert [image["id"] for image in (*first["images"], *rest["images"])] == made[::-1]
    assert rest["next"] is None


def test_it_lists_what_a_search_finds_of_ones_own(alice: TestClient, charlie: TestClient) -> None:
    tent, _ = (finished(alice, prompt=prompt)["image"]["id"] for prompt in ("a tent", "a lake"))
    assert [image["id"] for image in alice.get("/api/images?q=TENT 64x64").json()["images"]] == [tent]
    assert alice.get("/api/images?q=t%25nt").json() == {"images": [], "next": None}
    assert charlie.get("/api/images?q=tent").json()["images"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [("before=x", "before"), ("limit=0", "limit"), ("limit=many", "limit"), (f"q={'x' * 201}", "q")],
)
def test_it_names_a_wrong_parameter(alice: TestClient, query: str, field: str) -> None:
    response = alice.get(f"/api/images?{query}")
    assert (response.status_code, fields_of(response.json())) == (422, {field})


def test_it_tells_everything_about_an_image(alice: TestClient) -> None:
    job = finished(alice, seed=11)
    image = alice.get(f"/api/images/{job['image']['id']}").json()
    assert image["recipe"] == job["recipe"]
    assert image["environment"]["checkpoint"] == "bare"
    assert {name: image[name] for name in job["image"]} == job["image"]
    assert image["shares"] == []


def test_a_deleted_image_is_gone_everywhere(alice: TestClient) -> None:
    job = finished(alice)
    url = job["image"]["url"]
    etag = alice.get(url).headers["etag"]
    assert alice.delete(f"/api/images/{job['image']['id']}").status_code == 204
    assert alice.get(url, headers={"If-None-Match": etag}).status_code == 404
    assert alice.get(f"/api/images/{job['image']['id']}").status_code == 404
    assert alice.get(f"/api/jobs/{job['id']}").json()["image"] is None
    assert alice.delete(f"/api/images/{job['image']['id']}").status_code == 404


def test_a_missing_file_is_a_404_and_spares_the_rest(alice: TestClient, settings: Settings) -> None:
    lost, kept = finished(alice, seed=1)["image"], finished(alice, seed=2)["image"]
    sha256 = alice.get(lost["url"]).headers["etag"].strip('"')
    next(settings.images.rglob(f"{sha256}.png")).unlink()
    assert alice.get(lost["url"]).status_code == 404
    assert alice.get(kept["url"]).status_code == 200
    assert len(alice.get("/api/images").json()["images"]) == 2


@pytest.mark.parametrize("name", ["..%2f..%2fowner.key", "%2e%2e%2fowner.key", "owner.key"])
def test_no_path_in_a_request_becomes_a_path_on_disk(alice: TestClient, settings: Settings, name: str) -> None:
    key = Path(settings.data, "owner.key").read_bytes()
    for url in (f"/images/{name}.png", f"/images/{name}", f"/s/{name}.png", f"/jobs/{name}/preview.png"):
        response = alice.get(url)
        assert response.status_code == 404
        assert key not in response.content


def test_a_running_job_shows_previews_to_its_owner_only(
    alice: TestClient, charlie: TestClient, engine: FakeEngine
) -> None:
    engine.step_delay = 0.05
    job_id = post(alice, steps=100)["jobs"][0]["id"]
    wait_for(alice, job_id, "running")
    url = f"/jobs/{job_id}/preview.png"
    while (response := alice.get(url)).status_code == 404:
        assert alice.get(f"/api/jobs/{job_id}").json()["status"] == "running"
    assert pixels(response.content, "PNG").size == (8, 8)
    assert response.headers["content-security-policy"] == SANDBOX
    assert charlie.get(url).status_code == 404
    alice.delete(f"/api/jobs/{job_id}")


def test_the_preview_of_a_finished_job_leads_to_its_image(alice: TestClient, charlie: TestClient) -> None:
    job = finished(alice)
    answer = alice.get(f"/jobs/{job['id']}/preview.png", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, job["image"]["url"])
    assert charlie.get(f"/jobs/{job['id']}/preview.png").status_code == 404
