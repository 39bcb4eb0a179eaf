"""Searching the gallery: by a form whose address can be kept, page by page, and what is said where nothing is found."""

from __future__ import annotations

import re

import httpx2
import pytest
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

from app.services import gallery as images
from app.web.pages import gallery
from tests.api.asking import finished
from tests.pages.easel import Stand

HTMX = {"HX-Request": "true", "HX-Request-Type": "partial"}


def tiles(html: str) -> list[str]:
    """Return the pictures of a page."""
    return re.findall(r'id="tile-([^"]+)"', html)


def made(browser: TestClient | httpx2.Client, *prompts: str) -> list[str]:
    """Have a picture made of each prompt and return their ids."""
    return [str(finished(browser, prompt=prompt)["image"]["id"]) for prompt in prompts]


def test_it_shows_what_it_finds_and_keeps_the_query(
    alice: TestClient, charlie: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "PAGE_SIZE", 1)
    first, _, second = made(alice, "a tent & a lake", "a lake", "a lake & a tent")
    page = alice.get("/images", params={"q": " Tent & LAKE "}).text
    assert tiles(page) == [second]
    assert 'role="search"' in page
    assert 'value="Tent &amp; LAKE"' in page
    more = re.search(r'href="(/images\?[^"]*before=[^"]+)"', page)
    assert more
    address = more.group(1).replace("&amp;", "&")
    assert "q=Tent+%26+LAKE" in address
    assert tiles(alice.get(address).text) == [first]
    assert tiles(alice.get(address, headers=HTMX).text) == [first]
    assert tiles(charlie.get("/images?q=tent").text) == []


def test_a_picture_that_was_found_leads_to_the_next_one_that_was(alice: TestClient, charlie: TestClient) -> None:
    first, _, second = made(alice, "a tent & a lake", "a lake", "a tent")
    assert f'href="/images/{second}?q=tent"' in alice.get("/images?q=tent").text
    page = alice.get(f"/images/{second}?q=tent").text
    assert f'rel="next" href="/images/{first}?q=tent"' in page
    assert 'rel="prev"' not in page
    assert 'a search for “<span dir="auto">tent</span>”' in page
    assert f'rel="prev" href="/images/{second}?q=tent"' in alice.get(f"/images/{first}?q=tent").text
    assert charlie.get(f"/images/{second}?q=tent").status_code == 404
    question = alice.get(f"/images/{second}/delete?q=tent").text
    assert f'action="/images/{second}/delete?q=tent"' in question
    gone = alice.post(f"/images/{second}/delete?q=tent", follow_redirects=False)
    assert gone.headers["location"] == f"/images/{first}?deleted=1&q=tent"
    gone = alice.post(f"/images/{first}/delete?q=tent", follow_redirects=False)
    assert gone.headers["location"] == "/images?deleted=1&q=tent"


def test_what_is_searched_is_text(alice: TestClient) -> None:
    made(alice, "a lake")
    page = alice.get("/images", params={"q": '"><script>alert(1)</script>'}).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_where_nothing_is_found_it_says_what_was_searched_and_leads_back(alice: TestClient) -> None:
    made(alice, "a lake")
    page = alice.get("/images?q=glacier").text
    assert "No picture matches" in page
    assert '“<span dir="auto">glacier</span>”' in page
    assert '<a class="button" href="/images">Show all pictures</a>' in page
    assert "Nothing on the walls yet" not in page


def test_a_query_that_is_too_long_is_refused_by_its_name(alice: TestClient) -> None:
    answer = alice.get("/images", params={"q": "x" * 201}, headers={"Accept": "text/html"})
    assert answer.status_code == 422
    assert "Search for at most 200 characters; this is 201." in answer.text


def test_a_search_that_was_cut_says_so_and_goes_on(alice: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SEARCH_SECONDS", -1)
    monkeypatch.setattr(images, "SEARCHED_AT_ONCE", 1)
    tent, _ = made(alice, "a tent", "a lake")
    page = alice.get("/images?q=tent").text
    assert tiles(page) == []
    assert "No picture matches" not in page
    assert 'hx-trigger="load, click"' in page
    more = re.search(r'href="(/images\?[^"]*before=[^"]+)"', page)
    assert more
    assert tiles(alice.get(more.group(1).replace("&amp;", "&")).text) == [tent]


@pytest.mark.browser
def test_by_keyboard_all_that_there_is_is_looked_through(
    page: Page, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.goto("/")
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    with httpx2.Client(base_url=stand.url, cookies=cookies, verify=False) as browser:
        made(browser, "a tent", "a lake", "a cabin")
    monkeypatch.setattr(images, "SEARCH_SECONDS", -1)
    monkeypatch.setattr(images, "SEARCHED_AT_ONCE", 1)
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto("/images")
    box = page.get_by_role("searchbox", name="Search the pictures")
    box.fill("tent")
    box.press("Enter")
    page.wait_for_url("**/images?q=tent")
    expect(page.locator("#tiles img")).to_have_count(1)
    expect(page.get_by_text("Looking further back")).to_have_count(0)
    expect(page.get_by_role("heading", name="No picture matches")).to_be_hidden()
    box.fill("glacier")
    box.press("Enter")
    expect(page.get_by_role("heading", name="No picture matches")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="Show all pictures").press("Enter")
    expect(page.locator("#tiles img")).to_have_count(3)
