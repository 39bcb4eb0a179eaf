"""What somebody is told of pictures under way who does not look at them: by a screen reader, or in another tab."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.pages.easel import Stand
from tests.pages.painting import begin

pytestmark = pytest.mark.browser

HEAR = """() => {
    window.heard = [];
    const region = document.querySelector("[data-under-way]");
    const hear = () => region.textContent && window.heard.push(region.textContent);
    new MutationObserver(hear).observe(region, { childList: true });
}"""
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def ask(page: Page, count: str = "1") -> None:
    page.get_by_label("Prompt", exact=True).fill("a lake")
    page.locator(f"label:has(input[name=count][value='{count}'])").click()
    page.get_by_role("button", name="Generate").click()


def test_each_picture_is_told_once_when_it_is_done(page: Page, stand: Stand) -> None:
    page.goto("/")
    stand.engine.step_delay = 0.1
    page.evaluate(HEAR)
    for count in (1, 2):
        ask(page)
        expect(page.locator(".card[data-state=done]")).to_have_count(count)
    assert page.evaluate("heard.splice(0)") == ["A picture is done."] * 2, "the second as well as the first"
    ask(page, "2")
    expect(page.locator(".card[data-state=done]")).to_have_count(4)
    assert page.evaluate("heard") in (["2 pictures are done."], ["A picture is done, 1 to go.", "A picture is done."])
    page.reload()
    expect(page.locator(".card[data-state=done]")).to_have_count(4)
    expect(page.locator("[data-under-way]")).to_be_empty()


def test_a_failure_is_told_and_what_was_cancelled_is_not(page: Page, stand: Stand) -> None:
    page.goto("/")
    page.evaluate(HEAR)
    stand.engine.step_delay = 1.0
    ask(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".card[data-state=cancelled]")).to_have_count(1)
    stand.engine.step_delay, stand.engine.fail_with = 0.0, {"code": "nan", "message": "The picture came out empty."}
    ask(page)
    expect(page.locator(".card[data-state=failed]")).to_have_count(1)
    expect(page.locator("[data-under-way]")).to_have_text("A picture could not be made.")
    assert len(page.evaluate("heard")) == 1


def test_the_title_of_a_hidden_tab_says_how_it_goes(page: Page, stand: Stand) -> None:
    page.goto("/")
    page.evaluate(HEAR)
    stand.engine.step_delay = 0.5
    ask(page, "2")
    expect(page.locator(".card")).to_have_count(2)
    expect(page).to_have_title("Studio · Mezzotint")
    page.evaluate(HIDE, True)
    expect(page).to_have_title("2 to go · Studio · Mezzotint")
    stand.engine.step_delay = 0.0
    expect(page).to_have_title("Done · Studio · Mezzotint")
    assert page.evaluate("heard") == [], "nobody would hear it"
    page.evaluate(HIDE, False)
    expect(page).to_have_title("Studio · Mezzotint")
    expect(page.locator("[data-under-way]")).to_have_text("2 pictures are done.")
    expect(page.locator(".card[data-state=done]")).to_have_count(2)
    assert len(page.evaluate("heard")) == 1
    page.evaluate(HIDE, True)
    expect(page).to_have_title("Studio · Mezzotint")


def test_a_canvas_tells_the_same_of_its_candidates(easel: Page, stand: Stand) -> None:
    page = easel
    begin(page)
    page.evaluate(HEAR)
    stand.engine.step_delay = 0.5
    ask(page, "2")
    expect(page.locator(".canvas-tiles li")).to_have_count(3)
    page.evaluate(HIDE, True)
    expect(page).to_have_title("2 to go · Canvas · Mezzotint")
    stand.engine.step_delay = 0.0
    expect(page).to_have_title("Done · Canvas · Mezzotint")
    page.evaluate(HIDE, False)
    expect(page).to_have_title("Canvas · Mezzotint")
    expect(page.locator("[data-under-way]")).to_have_text(re.compile("2 pictures are done."))
