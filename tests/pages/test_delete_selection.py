"""Several pictures deleted at once: whose, after which question, and where the page is then."""

from __future__ import annotations

import re

import httpx2
import pytest
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

from tests.api.asking import finished
from tests.pages.easel import Stand

HTMX = {"HX-Request": "true", "HX-Request-Type": "partial"}


def made(browser: TestClient | httpx2.Client, count: int) -> list[str]:
    """Have pictures made and return their ids, the newest first."""
    return [str(finished(browser, seed=seed)["image"]["id"]) for seed in range(count)][::-1]


def there(browser: TestClient) -> list[str]:
    """Return the pictures that the browser has, the newest first."""
    return [image["id"] for image in browser.get("/api/images").json()["images"]]


def test_without_scripts_a_page_asks_and_says_how_many(alice: TestClient) -> None:
    images = made(alice, 3)
    page = alice.post("/images/delete?q=lake", data={"image": images[:2]})
    assert page.status_code == 200
    assert "Delete 2 pictures?" in page.text
    assert "Delete 2 pictures for good" in page.text
    assert re.findall(r'name="image" value="([^"]+)"', page.text) == images[:2]
    assert 'href="/images?q=lake"' in page.text
    assert there(alice) == images
    action = re.search(r'action="(/images/delete[^"]*)"', page.text)
    assert action
    gone = alice.post(action.group(1), data={"image": images[:2], "sure": "yes"}, follow_redirects=False)
    assert (gone.status_code, gone.headers["location"]) == (303, "/images?q=lake&deleted=2")
    assert "2 pictures were deleted." in alice.get(gone.headers["location"]).text
    assert there(alice) == images[2:]
    assert alice.get(f"/images/{images[0]}.png").status_code == 404


@pytest.mark.parametrize("count", ["yes", "0", "-1", "1e3", "999999", "²", "9" * 5000])
def test_what_nobody_deleted_is_not_said_to_be_gone(alice: TestClient, count: str) -> None:
    page = alice.get("/images", params={"deleted": count})
    assert page.status_code == 200
    assert "deleted." not in page.text


def test_it_says_what_goes_with_them(alice: TestClient) -> None:
    (image,) = made(alice, 1)
    plain = alice.post("/images/delete", data={"image": image}).text
    assert "Delete 1 picture?" in plain
    assert "The file goes for good" in plain
    alice.post(f"/images/{image}/share")
    alice.post("/canvas", data={"image_id": image})
    question = alice.post("/images/delete", data={"image": image}).text
    assert "The file and every link to it go for good" in question
    assert "A canvas that holds no other picture goes with it." in question


def test_only_ones_own_pictures_go(alice: TestClient, charlie: TestClient) -> None:
    hers, his = made(alice, 2), made(charlie, 1)
    both = {"image": [*hers, *his]}
    assert "Delete 1 picture?" in charlie.post("/images/delete", data=both).text
    answer = charlie.post("/images/delete", data={**both, "sure": "yes"}, headers=HTMX)
    assert "1 picture deleted. 2 had gone before." in answer.text
    assert (there(alice), there(charlie)) == (hers, [])
    again = charlie.post("/images/delete", data={**both, "sure": "yes"})
    assert again.status_code == 404
    assert there(alice) == hers


@pytest.mark.parametrize("count", [0, 201])
def test_too_few_and_too_many_are_refused_by_the_name_of_the_field(alice: TestClient, count: int) -> None:
    answer = alice.post("/images/delete", data={"image": [f"i{number}" for number in range(count)], "sure": "yes"})
    assert answer.status_code == 422
    assert answer.json()["error"]["fields"] == [
        {"field": "image", "message": f"Select 1 to 200 pictures; these are {count}."}
    ]


def test_under_htmx_the_tiles_go_and_a_notice_says_so(alice: TestClient) -> None:
    images = made(alice, 2)
    question = alice.post("/images/delete", data={"image": images}, headers=HTMX).text
    assert question.lstrip().startswith('<form class="recipe-form"')
    answer = alice.post("/images/delete", data={"image": images, "sure": "yes"}, headers=HTMX).text
    assert re.findall(r'hx-target="#tile-([^"]+)" hx-swap="delete"', answer) == images
    assert '<hx-partial hx-target="#notices"' in answer
    assert "2 pictures deleted." in answer


@pytest.fixture
def gallery(page: Page, stand: Stand) -> Page:
    """The gallery with six pictures."""
    page.goto("/")
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    with httpx2.Client(base_url=stand.url, cookies=cookies, verify=False) as browser:
        made(browser, 6)
    page.goto("/images")
    return page


@pytest.mark.browser
def test_shift_selects_all_between_and_the_bar_counts(gallery: Page) -> None:
    boxes, bar = gallery.get_by_role("checkbox"), gallery.get_by_role("form", name="Selected pictures")
    boxes.nth(1).press("Space")
    expect(bar.get_by_role("status")).to_have_text("1 selected")
    boxes.nth(4).press("Shift+Space")
    expect(bar.get_by_role("status")).to_have_text("4 selected")
    gallery.locator(".tile-select").nth(2).click(modifiers=["Shift"], position={"x": 3, "y": 3})  # beside the box
    expect(bar.get_by_role("status")).to_have_text("1 selected")
    bar.get_by_role("button", name="Select all on this page").press("Enter")
    expect(bar.get_by_role("status")).to_have_text("6 selected")
    gallery.locator("form[data-most]").evaluate("(form) => { form.dataset.most = 4; }")
    bar.get_by_role("button", name="Select all on this page").press("Enter")
    expect(bar.get_by_role("status")).to_have_text("4 selected, the most at once")
    boxes.nth(5).press("Space")
    expect(bar.get_by_role("status")).to_have_text("5 selected; 4 at most")
    expect(bar.get_by_role("button", name="Delete selected")).to_be_disabled()
    bar.get_by_role("button", name="Select none").press("Enter")
    expect(bar).to_be_hidden()


@pytest.mark.browser
def test_by_keyboard_they_go_after_one_question_and_the_focus_stays_near(gallery: Page) -> None:
    gallery.set_viewport_size({"width": 360, "height": 740})
    boxes, dialog = gallery.get_by_role("checkbox"), gallery.get_by_role("dialog")
    after = boxes.nth(3).get_attribute("value")
    for at in (1, 2):
        boxes.nth(at).press("Space")
    assert gallery.evaluate("document.documentElement.scrollWidth <= innerWidth")
    gallery.get_by_role("button", name="Delete selected").press("Enter")
    expect(dialog).to_have_accessible_name("Delete 2 pictures?")
    expect(dialog.get_by_role("link", name="Keep them")).to_be_focused()
    gallery.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(gallery.get_by_role("button", name="Delete selected")).to_be_focused()
    gallery.keyboard.press("Enter")
    dialog.get_by_role("button", name="Delete 2 pictures for good").press("Enter")
    expect(gallery.locator("#notices[role=status]")).to_contain_text("2 pictures deleted.")
    expect(boxes).to_have_count(4)
    expect(dialog).to_be_hidden()
    expect(gallery.locator(f'[value="{after}"]')).to_be_focused()
    expect(gallery.get_by_role("form", name="Selected pictures")).to_be_hidden()


@pytest.mark.browser
def test_where_none_is_left_it_leads_on(gallery: Page) -> None:
    gallery.get_by_role("checkbox").first.press("Space")
    gallery.get_by_role("button", name="Select all on this page").press("Enter")
    gallery.get_by_role("button", name="Delete selected").press("Enter")
    gallery.get_by_role("dialog").get_by_role("button", name="Delete 6 pictures for good").press("Enter")
    onward = gallery.get_by_role("link", name="Show what is left")
    expect(onward).to_be_focused()
    onward.press("Enter")
    expect(gallery.get_by_role("heading", name="Nothing on the walls yet")).to_be_visible()


@pytest.mark.browser
def test_what_is_not_there_any_more_is_said_outside_of_the_question(gallery: Page, stand: Stand) -> None:
    gallery.get_by_role("checkbox").first.press("Space")
    gallery.get_by_role("button", name="Delete selected").press("Enter")
    dialog = gallery.get_by_role("dialog")
    expect(dialog).to_be_visible()
    gone = gallery.get_by_role("checkbox", include_hidden=True).first.get_attribute("value")
    assert gallery.request.delete(f"{stand.url}/api/images/{gone}", headers={"Origin": stand.url}).status == 204
    dialog.get_by_role("button", name="Delete 1 picture for good").press("Enter")
    expect(gallery.locator("#notices")).to_contain_text("None of these pictures is there.")
    expect(dialog).to_be_hidden()
