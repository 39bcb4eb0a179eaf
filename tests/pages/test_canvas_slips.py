"""What slips of the hand and faults of the line may not do to a canvas, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.pages.painting import begin, done, generate, soon, state_of

pytestmark = pytest.mark.browser
LEFT = "[data-tiles] li:last-child [data-name]"  # the last of the candidates that are left


def test_a_key_that_is_held_and_a_button_that_was_clicked_act_once(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    asked: list[str] = []
    page.route(re.compile("/(candidates|discard)$"), lambda route: (asked.append(route.request.url), route.continue_()))
    generate(page, "2")
    page.locator("form[data-panel]").evaluate("form => { form.requestSubmit(); form.requestSubmit(); }")
    done(page, 4)
    assert len(asked) == 2

    page.locator("[data-stage]").focus()
    page.keyboard.down("Control")
    for _ in range(3):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    page.keyboard.up("Control")
    done(page, 6)
    page.keyboard.down("x")
    soon(page, LEFT, "^Candidate 5$")
    for _ in range(3):
        page.keyboard.down("x")
        page.wait_for_timeout(60)
    page.keyboard.up("x")
    discard = page.get_by_role("button", name="Discard")
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        discard.dblclick()
    soon(page, LEFT, "^Candidate 4$")
    discard.dispatch_event("click", {"detail": 2})  # the second of a double click that is slower than the server
    expect(page.locator("[data-refusal]")).to_be_hidden()
    chosen = state_of(page, canvas_id)["candidates"][2]
    page.locator(f"[data-job='{chosen['job']}']").click()
    page.get_by_role("button", name="The next candidate").click()
    page.get_by_role("button", name="The candidate before").click()
    page.keyboard.press("Enter")
    expect(page.locator("[data-strip-root]")).to_be_hidden()
    now = state_of(page, canvas_id)
    assert (now["image"]["id"], now["candidates"]) == (chosen["image"]["id"], [])
    assert len(asked) == 3 + 2
    page.unroute_all()


def test_undo_and_redo_are_enabled_after_each_other(easel: Page) -> None:
    begin(easel)
    easel.keyboard.press("a")
    for name in ("Undo", "Redo", "Undo"):
        easel.get_by_role("button", name=name).click(timeout=2000)
    soon(easel, "[data-about]", "Nothing is masked")
