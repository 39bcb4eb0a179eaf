"""Share links: whoever has one sees one picture, until it is revoked."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.metadata.read import read
from app.settings import Settings
from tests.api.asking import fields_of, finished


def share(browser: TestClient, image_id: str, **body: Any) -> str:
    response = browser.post(f"/api/images/{image_id}/share", json=body)
    assert response.status_code == 201, response.text
    assert set(response.json()) == {"url"}
    return str(response.json()["url"])


def test_a_stranger_sees_a_shared_picture_without_a_cookie(alice: TestClient, charlie: TestClient) -> None:
    image = finished(alice)["image"]
    url = share(alice, image["id"])
    assert url.startswith("http://127.0.0.1:8000/s/")
    page, picture = charlie.get(url), charlie.get(f"{url}.png")
    assert page.status_code == picture.status_code == 200
    assert picture.headers["content-type"] == "image/png"
    assert "set-cookie" not in page.headers
    assert "set-cookie" not in picture.headers


def test_a_shared_picture_tells_its_recipe_only_if_its_owner_chose_so(alice: TestClient, charlie: TestClient) -> None:
    image = finished(alice)["image"]
    hidden, shown = share(alice, image["id"]), share(alice, image["id"], show_recipe=True)
    for ending, kind in (("png", "png"), ("jpg", "jpeg"), ("webp", "webp")):
        for url, prompt in ((hidden, None), (shown, "mountains by the lake")):
            file = charlie.get(f"{url}.{ending}")
            told = read(file.content)
            assert told is not None
            assert (told.kind, file.headers["content-type"]) == (kind, f"image/{kind}")
            assert (told.recipe.prompt if told.recipe else None) == prompt
            assert told.source_type == "trainedAlgorithmicMedia"
            assert f'href="/s/{url.rpartition("/")[2]}.{ending}"' in charlie.get(url).text


def test_share_answers_ask_to_be_left_alone(alice: TestClient, charlie: TestClient) -> None:
    url = share(alice, finished(alice)["image"]["id"])
    for response in (charlie.get(url), charlie.get(f"{url}.png"), charlie.get("/s/nonsense")):
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["x-robots-tag"] == "noindex"
        assert response.headers["cache-control"].startswith("private")


def test_a_revoked_link_leads_nowhere(alice: TestClient, charlie: TestClient) -> None:
    url = share(alice, finished(alice)["image"]["id"])
    etag = charlie.get(f"{url}.png").headers["etag"]
    assert alice.delete(f"/api/shares/{url.rpartition('/')[2]}").status_code == 204
    for address in (url, f"{url}.jpg", f"{url}.webp"):
        assert charlie.get(address).status_code == 404
    assert charlie.get(f"{url}.png", headers={"If-None-Match": etag}).status_code == 404


def test_nothing_of_a_shared_file_tells_of_the_one_with_its_recipe(
    alice: TestClient, charlie: TestClient, settings: Settings
) -> None:
    etag = charlie.get(f"{share(alice, finished(alice)['image']['id'])}.png").headers["etag"]
    names = {path.name.partition(".")[0] for path in settings.images.rglob("*.png")}
    assert len(names) == 1
    assert not any(name in etag for name in names)


def test_a_link_is_also_revoked_by_the_id_that_its_image_lists(alice: TestClient, charlie: TestClient) -> None:
    image = finished(alice)["image"]
    url = share(alice, image["id"])
    listed = alice.get(f"/api/images/{image['id']}").json()["shares"]
    assert url.rpartition("/")[2] not in str(listed)
    assert alice.delete(f"/api/shares/{listed[0]['id']}").status_code == 204
    assert charlie.get(url).status_code == 404


def test_a_stranger_can_neither_share_nor_revoke(alice: TestClient, charlie: TestClient) -> None:
    image = finished(alice)["image"]
    url = share(alice, image["id"])
    assert charlie.post(f"/api/images/{image['id']}/share").status_code == 404
    assert charlie.delete(f"/api/shares/{url.rpartition('/')[2]}").status_code == 404
    assert charlie.get(url).status_code == 200


def test_a_link_dies_with_its_image(alice: TestClient, charlie: TestClient) -> None:
    image = finished(alice)["image"]
    url = share(alice, image["id"])
    alice.delete(f"/api/images/{image['id']}")
    assert charlie.get(url).status_code == charlie.get(f"{url}.png").status_code == 404


def test_the_body_may_be_left_out(alice: TestClient) -> None:
    assert alice.post(f"/api/images/{finished(alice)['image']['id']}/share").status_code == 201


@pytest.mark.parametrize(("body", "field"), [({"show_recipe": "yes"}, "show_recipe"), ({"public": True}, "public")])
def test_it_names_a_wrong_field(alice: TestClient, body: dict[str, Any], field: str) -> None:
    response = alice.post(f"/api/images/{finished(alice)['image']['id']}/share", json=body)
    assert (response.status_code, fields_of(response.json())) == (422, {field})
