"""The gallery, one picture, its links and its deletion."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from app.web.pages import gallery
from tests.api.asking import finished

HTMX = {"HX-Request": "true", "HX-Request-Type": "partial"}


def image_of(browser: TestClient, seed: int = 1) -> str:
    """Have a picture made and return its id."""
    return str(finished(browser, seed=seed)["image"]["id"])


def link_in(html: str) -> str:
    """Return the share link that a page shows this once."""
    found = re.search(r'id="share-url"[^>]* value="([^"]+)"', html)
    assert found
    return found.group(1)


def test_an_empty_gallery_points_to_the_studio(alice: TestClient) -> None:
    assert "Nothing on the walls yet" in alice.get("/images").text


def test_it_shows_the_newest_first_a_page_at_a_time(alice: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "PAGE_SIZE", 2)
    images = [image_of(alice, seed) for seed in (1, 2, 3)]
    first = alice.get("/images").text
    assert re.findall(r'id="tile-([^"]+)"', first) == [images[2], images[1]]
    more = re.search(r'href="(/images\?before=[^"]+)"', first)
    assert more
    assert re.findall(r'id="tile-([^"]+)"', alice.get(more.group(1)).text) == [images[0]]
    appended = alice.get(more.group(1), headers=HTMX).text
    assert appended.startswith('<hx-partial hx-target="#tiles" hx-swap="beforeend">')
    assert "Load more" not in appended


def test_a_picture_shows_what_was_set_under_advanced_and_only_then(alice: TestClient) -> None:
    advanced = {"sampler": "Euler a Karras", "subseed": 9, "subseed_strength": 0.5, "tiling": True, "clip_skip": 2}
    second_pass = {"hires_scale": 1.5, "hires_upscaler": "lanczos", "hires_strength": 0.4}
    job = finished(alice, **advanced, **second_pass)
    page = alice.get(f"/images/{job['image']['id']}").text
    for fact in ("Euler a, Karras", "0.5 of seed 9", "64 × 64, tiling", "1.5 times (lanczos), strength 0.4"):
        assert fact in page
    plain = alice.get(f"/images/{image_of(alice)}").text
    for title in ("Variation", "Clip skip", "Enlarged", "tiling"):
        assert title in page
        assert title not in plain


def test_a_picture_shows_its_whole_recipe_and_its_neighbours(alice: TestClient) -> None:
    older, middle, newer = (image_of(alice, seed) for seed in (1, 2, 3))
    page = alice.get(f"/images/{middle}").text
    for fact in ("mountains by the lake", ">2<", "64 × 64", "DDIM", f"/?image={middle}"):
        assert fact in page
    assert f'rel="prev" href="/images/{newer}"' in page
    assert f'rel="next" href="/images/{older}"' in page


@pytest.mark.parametrize("path", ["", "/delete"])
def test_a_stranger_sees_no_picture(alice: TestClient, charlie: TestClient, path: str) -> None:
    response = charlie.get(f"/images/{image_of(alice)}{path}", headers={"Accept": "text/html"})
    assert response.status_code == 404
    assert "Nothing is here" in response.text


def test_it_is_deleted_only_after_a_question(alice: TestClient, charlie: TestClient) -> None:
    image = image_of(alice)
    assert "Delete this picture?" in alice.get(f"/images/{image}/delete").text
    assert charlie.post(f"/images/{image}/delete").status_code == 404
    assert alice.post(f"/images/{image}/delete").status_code == 200
    assert alice.get(f"/images/{image}").status_code == 404
    assert alice.get(f"/images/{image}.png").status_code == 404


def test_after_a_deletion_comes_the_next_older_picture_then_a_newer_one_then_the_gallery(alice: TestClient) -> None:
    oldest, middle, newest = (image_of(alice, seed) for seed in (1, 2, 3))
    for image, then in ((middle, f"/images/{oldest}"), (oldest, f"/images/{newest}"), (newest, "/images")):
        page = alice.post(f"/images/{image}/delete")
        assert (page.status_code, page.url.path) == (200, then)
        assert "The picture was deleted." in page.text
        assert "The picture was deleted." not in alice.get(then).text


def test_a_link_is_shown_once_and_can_be_revoked(alice: TestClient, charlie: TestClient) -> None:
    image = image_of(alice)
    made = alice.post(f"/images/{image}/share", data={"show_recipe": "no"})
    assert made.status_code == 201
    link = link_in(made.text)
    assert charlie.get(link).status_code == 200
    page = alice.get(f"/images/{image}").text
    assert link not in page
    action = re.search(r'action="(/images/[^"]+/revoke)"', page)
    assert action
    assert charlie.post(action.group(1)).status_code == 404
    assert alice.post(action.group(1), follow_redirects=False).status_code == 303
    assert charlie.get(link).status_code == 404


def test_under_htmx_only_the_links_are_answered(alice: TestClient) -> None:
    image = image_of(alice)
    assert alice.post(f"/images/{image}/share", headers=HTMX).text.lstrip().startswith('<section id="share"')


def test_a_stranger_cannot_share_it(alice: TestClient, charlie: TestClient) -> None:
    assert charlie.post(f"/images/{image_of(alice)}/share").status_code == 404


class TestSharePage:
    def test_it_has_cards_for_other_sites_with_whole_addresses(self, alice: TestClient, charlie: TestClient) -> None:
        link = link_in(alice.post(f"/images/{image_of(alice)}/share", data={"show_recipe": "yes"}).text)
        page = charlie.get(link).text
        assert f'property="og:image" content="{link}.png"' in page
        assert 'name="twitter:card" content="summary_large_image"' in page
        assert 'property="og:image:alt" content="mountains by the lake"' in page
        assert charlie.get(f"{link}.png").headers["content-type"] == "image/png"

    def test_the_recipe_is_there_only_if_chosen(self, alice: TestClient, charlie: TestClient) -> None:
        image = image_of(alice)
        alone, whole = (
            link_in(alice.post(f"/images/{image}/share", data={"show_recipe": choice}).text) for choice in ("no", "yes")
        )
        assert "mountains" not in charlie.get(alone).text
        page = charlie.get(whole).text
        assert "mountains by the lake" in page
        token = whole.rsplit("/", 1)[1]
        assert f"/?share={token}" in page
        assert "mountains by the lake" in charlie.get(f"/?share={token}").text

    def test_it_needs_and_sets_no_cookie_and_asks_not_to_be_indexed(
        self, alice: TestClient, charlie: TestClient
    ) -> None:
        image = image_of(alice)
        response = charlie.get(link_in(alice.post(f"/images/{image}/share").text))
        assert "set-cookie" not in response.headers
        assert response.headers["x-robots-tag"] == "noindex"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "private, no-store"
        assert '<meta name="robots" content="noindex">' in response.text
        assert image not in response.text
