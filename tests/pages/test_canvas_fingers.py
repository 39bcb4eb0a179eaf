"""The canvas on a phone, by fingers, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.chromium import violations
from tests.pages.easel import Stand
from tests.pages.painting import SIDE, begin, box_of, mask_of, on_screen, saved, state_of, touch

pytestmark = pytest.mark.browser
PHONE: Any = {"width": 360, "height": 740}
TARGET = 44  # pixels, the smallest side of what a finger should hit


def test_fingers_draw_zoom_and_take_back_a_stroke_by_a_second_one(chromium: Browser, stand: Stand) -> None:
    context = chromium.new_context(base_url=stand.url, viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    canvas_id = begin(page)
    fingers = context.new_cdp_session(page)
    start_at, end_at, other = on_screen(page, (60, 60), (120, 60), (200, 200))
    touch(fingers, "touchStart", [start_at])
    touch(fingers, "touchMove", [end_at])
    touch(fingers, "touchStart", [end_at, other])
    before = page.locator("[data-zoom]").inner_text()
    touch(fingers, "touchMove", [(end_at[0] - 20, end_at[1] - 20), (other[0] + 20, other[1] + 20)])
    touch(fingers, "touchEnd")
    expect(page.locator("[data-zoom]")).not_to_have_text(before)
    expect(page.locator("[data-about]")).to_contain_text("Nothing is masked")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()

    start_at, end_at = on_screen(page, (60, 60), (120, 60))
    touch(fingers, "touchStart", [start_at])
    touch(fingers, "touchMove", [end_at])
    touch(fingers, "touchEnd")
    touch(fingers, "touchStart", [start_at])
    touch(fingers, "touchMove", [other])
    saved(page)  # in the middle of a stroke, with what waits of the one before
    touch(fingers, "touchStart", [other, end_at])
    touch(fingers, "touchEnd")
    left, top, right, bottom = box_of(mask_of(page, canvas_id))
    assert (left + right) / 2 == pytest.approx(90, abs=3)
    assert (top + bottom) / 2 == pytest.approx(60, abs=3)

    a_second_finger_takes_back_the_pull_at_a_handle(page, fingers, canvas_id, start_at)
    a_phone_shows_all_and_its_sheet_closes_without_drawing(page, canvas_id)
    context.close()


def a_second_finger_takes_back_the_pull_at_a_handle(
    page: Page, fingers: CDPSession, canvas_id: str, second: tuple[float, float]
) -> None:
    page.locator("[data-tool-name=frame]").tap()
    handle = page.locator('[data-handle="right"]').bounding_box()
    assert handle is not None
    grip = (handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    pulled = (grip[0] - 60, grip[1])
    touch(fingers, "touchStart", [grip])
    touch(fingers, "touchMove", [pulled])
    expect(page.locator("[data-canvas]")).to_have_attribute("data-framed", "apart")
    touch(fingers, "touchStart", [pulled, second])
    expect(page.locator("[data-canvas]")).to_have_attribute("data-framed", "whole")
    before = page.locator("[data-zoom]").inner_text()
    touch(fingers, "touchMove", [pulled, (second[0] - 30, second[1] - 30)])
    expect(page.locator("[data-zoom]")).not_to_have_text(before)
    touch(fingers, "touchEnd")
    saved(page)
    assert state_of(page, canvas_id)["frame"] == {"x": 0, "y": 0, "width": SIDE, "height": SIDE}
    page.locator("[data-tool-name=brush]").tap()


def a_phone_shows_all_and_its_sheet_closes_without_drawing(page: Page, canvas_id: str) -> None:
    wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= seen
    page.get_by_role("button", name="Settings and steps").tap()
    expect(page.get_by_role("spinbutton", name="Strength")).to_be_visible()
    buttons = page.eval_on_selector_all(
        ".canvas .button, .canvas .icon-button, .canvas summary, .canvas .segments label",
        "all => all.filter(e => e.checkVisibility()).map(e => [e.innerText, e.getBoundingClientRect().height])",
    )
    assert [name for name, height in buttons if height < TARGET] == []
    assert violations(page) == []
    drawn = mask_of(page, canvas_id)
    stage = page.locator("[data-stage]").bounding_box()
    assert stage is not None
    page.touchscreen.tap(stage["x"] + 20, stage["y"] + 10)
    expect(page.get_by_role("spinbutton", name="Strength")).to_be_hidden()
    assert mask_of(page, canvas_id) == drawn, "the tap that closed the sheet has drawn"

    page.get_by_label("Prompt", exact=True).fill("a cabin")
    for is_checked_here in (True, False):
        steps = page.get_by_role("spinbutton", name="Steps", include_hidden=True)
        page.locator("form[data-panel]").evaluate("(form, off) => { form.noValidate = off }", not is_checked_here)
        steps.evaluate("field => { field.value = 500 }")
        page.get_by_role("button", name="Generate").tap()
        expect(steps).to_be_focused()
        page.get_by_role("button", name="Settings and steps").tap()
        expect(steps).to_be_hidden()
