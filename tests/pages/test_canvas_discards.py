"""What is discarded by a slip, in a real browser: it comes back by one key, one by one, also after a reload."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.pages.painting import begin, draw, generate, open_canvas, ready, said, soon, state_of

pytestmark = pytest.mark.browser
WORDS = "[data-strip-words]"


def made(page: Page, canvas_id: str) -> list[Any]:
    return [one["job"] for one in state_of(page, canvas_id)["candidates"]]


def test_one_key_discards_and_one_brings_back(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    notice, undo = page.locator("[data-bin]"), page.get_by_role("button", name="Undo", exact=True)
    generate(page, "2")
    jobs = made(page, canvas_id)
    for count in (1, 0):
        page.keyboard.press("x")
        said(page, "^Discarded. Undo brings it back.$")
        expect(page.locator(".canvas-tiles li")).to_have_count(count + 1)
    expect(page.locator("[data-strip-root]")).to_be_hidden()
    expect(notice).to_contain_text("2 discarded.")
    page.keyboard.press("Control+z")
    soon(page, WORDS, "^Candidate 1 of 1$")
    expect(notice).to_contain_text("Discarded.")
    notice.get_by_role("button", name="Undo").click()
    soon(page, WORDS, "^Candidate 1 of 2$")
    expect(notice).to_be_hidden()
    assert made(page, canvas_id) == jobs
    expect(page.locator(f"[data-job='{jobs[0]}']")).to_have_attribute("aria-pressed", "true")
    expect(undo.first).to_be_disabled()


def test_undo_takes_back_what_was_done_last(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    generate(page, "1")
    page.keyboard.press("x")
    expect(page.locator("[data-bin]")).to_be_visible()
    draw(page, (60, 60), (120, 60))
    page.keyboard.press("Control+z")
    said(page, "^Nothing is masked$")
    assert made(page, canvas_id) == []
    page.keyboard.press("Control+z")
    soon(page, WORDS, "^Candidate 1 of 1$")


def test_it_is_offered_again_after_a_reload(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    generate(page, "1")
    (job,) = made(page, canvas_id)
    page.keyboard.press("x")
    expect(page.locator("[data-bin]")).to_be_visible()
    open_canvas(page, canvas_id)
    page.locator("[data-bin]").get_by_role("button", name="Undo").click()
    soon(page, WORDS, "^Candidate 1 of 1$")
    assert made(page, canvas_id) == [job]


def test_the_keyboard_goes_to_undo_and_back_to_the_candidate(easel: Page) -> None:
    page = easel
    begin(page)
    generate(page, "1")
    page.get_by_role("button", name="Discard", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-bin] button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=re.compile("^Candidate 1"))).to_be_focused()


def test_the_notice_goes_after_some_seconds_unless_it_is_in_use(easel: Page) -> None:
    page = easel
    canvas_id = begin(page)
    page.clock.install()
    page.reload()
    ready(page)
    notice = page.locator("[data-bin]")
    generate(page, "1")
    page.keyboard.press("x")
    expect(notice).to_be_visible()
    notice.get_by_role("button").focus()
    page.clock.fast_forward(60_000)
    expect(notice).to_be_visible()
    notice.get_by_role("button").evaluate("button => button.blur()")
    page.clock.fast_forward(60_000)
    expect(notice).to_be_hidden()
    page.keyboard.press("Control+z")
    soon(page, WORDS, "^Candidate 1 of 1$")
    assert len(made(page, canvas_id)) == 1


def test_nothing_is_lost_where_the_server_does_not_answer(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    generate(page, "1")
    page.route("**/discard", lambda route: route.abort(), times=1)
    page.keyboard.press("x")
    expect(page.locator("[data-refusal]")).to_contain_text("does not answer")
    expect(page.locator(".canvas-tiles li")).to_have_count(2)
    page.keyboard.press("x")
    expect(page.locator("[data-bin]")).to_be_visible()
    page.route("**/restore", lambda route: route.abort(), times=1)
    page.keyboard.press("Control+z")
    expect(page.locator("[data-refusal]")).to_contain_text("does not answer")
    page.keyboard.press("Control+z")
    soon(page, WORDS, "^Candidate 1 of 1$")
    assert len(made(page, canvas_id)) == 1
