"""The pages in a real browser: what somebody has there stays, and stays true, whatever comes and goes around it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.pages.easel import Stand
from tests.pages.painting import picture
from tests.pages.test_pages_in_browser import generate

pytestmark = pytest.mark.browser


def test_the_focus_goes_to_the_next_when_a_card_leaves_the_list(page: Page, stand: Stand) -> None:
    page.goto("/")
    page.get_by_label("Prompt", exact=True).fill("a lake")
    page.get_by_role("radio", name="2").check()
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".card[data-state=done]")).to_have_count(2)
    off = page.get_by_role("button", name="Take off this list")
    off.first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(1)
    expect(off).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="An untouched plate")).to_be_focused()
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".card[data-state=done]")).to_have_count(2)
    stand.engine.step_delay = 1.0
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".card")).to_have_count(4)
    page.get_by_role("button", name="Clear finished").press("Enter")
    expect(page.get_by_role("heading", name="Latest")).to_be_focused()
    cancel = page.get_by_role("button", name="Cancel")
    for count in (2, 1):
        expect(cancel).to_have_count(count)
        cancel.first.click()


def test_a_new_link_stays_in_sight_until_it_is_revoked_itself(page: Page) -> None:
    generate(page)
    page.locator(".card .plate").click()
    link, revoke = page.get_by_label("Here is the link"), page.get_by_role("button", name=re.compile("Revoke"))
    for count in (1, 2):
        page.get_by_role("button", name="Make a link").click()
        expect(revoke).to_have_count(count)
    made = link.input_value()
    revoke.first.press("Enter")
    expect(revoke).to_have_count(1)
    expect(revoke).to_be_focused()
    expect(link).to_have_value(made)
    revoke.press("Enter")
    expect(link).to_have_count(0)
    expect(page.get_by_role("list", name="Links that work")).to_have_count(0)
    expect(page.get_by_role("heading", name="Share")).to_be_focused()


def test_the_notes_are_on_what_the_prompt_says(page: Page) -> None:
    """Whatever was typed while an answer was on its way, and what the browser brings back."""
    page.goto("/")
    prompt, notes = page.get_by_label("Prompt", exact=True), page.locator("#prompt-notes")
    prompt.fill("a lake")
    expect(notes).to_contain_text("2 / 75")

    def late(route: Route) -> None:
        prompt.fill("a lake with a dragon")
        expect(notes).to_contain_text("dragon")
        route.continue_()

    page.route("**/jobs", late)
    with page.expect_response("**/jobs"):
        page.get_by_role("button", name="Generate").click()
    with page.expect_response("**/prompt/check"):
        pass
    expect(notes).to_contain_text("dragon")
    page.unroute_all()
    page.get_by_label("Width").fill("256")
    page.goto("/images")
    page.go_back()
    expect(prompt).to_have_value("a lake with a dragon")
    expect(notes).to_contain_text("dragon")
    expect(page.get_by_role("button", name="Square")).to_have_attribute("aria-pressed", "false")


def test_beginning_from_noise_keeps_what_was_typed(page: Page) -> None:
    generate(page)
    image = page.request.get("/api/images").json()["images"][0]["id"]
    made = page.request.post("/api/jobs", data={"prompt": "a lake", "image": image, "strength": 0.5, "steps": 4})
    page.goto(f"/?job={made.json()['jobs'][0]['id']}")
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("a lake at dawn")
    page.locator("#steps").fill("9")
    page.get_by_role("link", name="Begin from noise instead").press("Enter")
    expect(page.locator("#edit-source")).to_have_count(0)
    expect(page.get_by_role("button", name="Square")).to_be_visible()
    expect(prompt).to_have_value("a lake at dawn")
    expect(page.locator("#steps")).to_have_value("9")
    expect(prompt).to_be_focused()


def test_a_deletion_is_told_once_beside_the_neighbour(page: Page) -> None:
    generate(page, "a lake")
    file = {"name": "a.png", "mimeType": "image/png", "buffer": picture()}
    page.request.post("/api/images", multipart={"file": file})  # type: ignore[dict-item]
    page.goto("/images")
    page.locator(".tiles a").first.click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete for good").click()
    told = page.get_by_text("The picture was deleted.")
    expect(page.locator(".prompt-text")).to_have_text("a lake")
    expect(page.get_by_role("status").filter(has=told)).to_be_focused()
    page.reload()
    expect(page.locator(".prompt-text")).to_have_text("a lake")
    expect(told).to_have_count(0)
