"""What slips of the hand and faults of the line may not do to a canvas, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.pages.easel import Stand
from tests.pages.painting import SIDE, begin, box_of, done, generate, mask_of, on_screen, saved, soon, start, state_of

pytestmark = pytest.mark.browser
LEFT = "[data-tiles] li:last-child [data-name]"  # the last of the candidates that are left


def note(route: Route, asked: list[str]) -> None:
    """Remember what is asked for, and let it pass."""
    asked.append(route.request.url)
    route.continue_()


def test_a_key_that_is_held_and_a_button_that_was_clicked_act_once(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    asked: list[str] = []
    page.route(re.compile("/(candidates|discard)$"), lambda route: note(route, asked))
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


def test_a_tool_is_not_changed_in_the_middle_of_a_stroke(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    start_at, end_at = on_screen(page, (60, 60), (120, 60))
    page.mouse.move(*start_at)
    page.mouse.down()
    for key in "lfr":
        page.keyboard.press(key)
        page.mouse.move(*end_at)
    page.mouse.up()
    expect(page.get_by_role("button", name="Brush")).to_have_attribute("aria-pressed", "true")
    left, _, right, _ = box_of(mask_of(page, canvas_id))
    assert (left + right) / 2 == pytest.approx(90, abs=1.5)
    for name in ("Undo", "Redo", "Undo"):
        page.get_by_role("button", name=name).click(timeout=2000)
    soon(page, "[data-about]", "Nothing is masked")
    saved(page)

    page.mouse.move(*start_at)
    page.mouse.down()
    page.request.patch(f"/api/canvases/{canvas_id}", data={"frame": {"x": -64, "y": 0, "width": 320, "height": 256}})
    page.evaluate("document.dispatchEvent(new Event('visibilitychange')) && null")  # looks what is new
    soon(page, "[data-about]", "frame 320")
    page.mouse.move(*end_at)
    page.mouse.up()
    saved(page)
    assert mask_of(page, canvas_id) is None
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()

    page.keyboard.press("f")
    handle = page.locator('[data-handle="right"]').bounding_box()
    assert handle is not None
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(handle["x"] + 100, handle["y"] + 40)
    page.keyboard.press("b")
    page.mouse.up()
    saved(page)
    page.keyboard.press("Escape")
    saved(page)
    assert state_of(page, canvas_id)["frame"]["width"] > 320


def test_a_canvas_that_was_deleted_is_not_saved_for_ever(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    image_id = state_of(page, canvas_id)["image"]["id"]
    asked: list[str] = []
    page.route(f"**/api/canvases/{canvas_id}", lambda route: route.abort())  # so that only saving meets it
    page.route("**/mask", lambda route: note(route, asked))
    page.request.delete(f"/api/images/{image_id}")
    page.keyboard.press("a")
    soon(page, "[data-saved]", "^gone$", "data-state")
    expect(page.get_by_text("This canvas is there no longer")).to_be_visible()
    page.keyboard.press("i")
    page.evaluate("dispatchEvent(new Event('online')) && null")
    page.get_by_role("link", name="Begin another").click()
    page.wait_for_url("**/canvas")
    assert len(asked) == 1
    page.unroute_all()

    canvas_id = begin(page)
    page.request.delete(f"/api/canvases/{canvas_id}")
    page.get_by_label("Prompt", exact=True).fill("a cabin")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_text("This canvas is there no longer")).to_be_visible()


def test_a_frame_that_cannot_be_becomes_the_nearest_one(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    page.get_by_text("Without drawing", exact=True).click()
    page.get_by_label("Left", exact=True).fill("5000")
    page.get_by_role("button", name="Set the frame").click()
    soon(page, "[data-numbers-note]", "64 to 2048 pixels in steps of 8, .* set to 2048 × 256")
    expect(page.get_by_label("Left", exact=True)).to_have_value(str(2048 - SIDE))
    saved(page)
    assert state_of(page, canvas_id)["frame"] == {"x": SIDE - 2048, "y": 0, "width": 2048, "height": SIDE}
    frame, stage = (page.locator(name).bounding_box() for name in (".canvas-frame", "[data-stage]"))
    assert frame is not None
    assert stage is not None
    assert stage["x"] < frame["x"] < frame["x"] + frame["width"] < stage["x"] + stage["width"]
    page.get_by_role("button", name="As large as the picture").click()
    expect(page.locator("[data-numbers-note]")).to_be_empty()


def test_a_notice_goes_when_it_is_true_no_longer(easel: Page) -> None:
    page, notice = easel, easel.locator("[data-refusal]")
    begin(page)
    page.get_by_label("Prompt", exact=True).fill("a cabin")
    saved(page)
    page.context.set_offline(True)
    page.keyboard.press("Control+Enter")
    expect(notice).to_have_text("The server does not answer.")
    page.context.set_offline(False)
    page.get_by_role("button", name="Generate").click()
    done(page, 1)
    page.context.set_offline(True)
    page.get_by_role("button", name="Discard").click()
    expect(notice).to_be_visible()
    page.context.set_offline(False)
    page.get_by_role("button", name="Discard").click()
    expect(page.locator("[data-strip-root]")).to_be_hidden()
    expect(notice).to_be_hidden()
    page.route("**/png-worker.js*", lambda route: route.abort())
    page.get_by_role("button", name="Everything").click()
    soon(page, "[data-saved]", "^Not saved$")
    page.get_by_role("button", name="Generate").click()
    expect(notice).to_be_visible()
    page.unroute_all()
    saved(page)
    expect(notice).to_be_hidden()


def test_the_lock_keeps_the_seed_of_the_candidate_that_is_looked_at(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    generate(page, "2")
    page.locator("[data-tiles] li:nth-child(2) button").click()
    page.get_by_label("Keep this seed for the next candidates").check(force=True)
    first = state_of(page, canvas_id)["candidates"][0]
    assert page.request.get(f"/api/jobs/{first['job']}").json()["recipe"]["seed"] == first["seed"]
    expect(page.locator("#seed")).to_have_value(str(first["seed"]))


def test_without_scripts_it_says_so_on_the_stage(easel: Page, stand: Stand, chromium: Browser) -> None:
    path = f"/canvas/{start(easel)}"
    context = chromium.new_context(
        base_url=stand.url, storage_state=easel.context.storage_state(), java_script_enabled=False
    )
    page = context.new_page()
    page.goto(path)
    expect(page.get_by_text("Loading…")).to_be_hidden()
    notice = page.locator("[data-loading]").bounding_box()
    stage = page.locator("[data-stage]").bounding_box()
    assert notice is not None
    assert stage is not None
    assert stage["x"] < notice["x"]
    assert stage["y"] < notice["y"]
    assert notice["height"] > 20
    assert notice["x"] + notice["width"] < stage["x"] + stage["width"]
    context.close()


def test_the_size_of_the_brush_is_shown_as_it_has_become(easel: Page) -> None:
    begin(easel)
    size = easel.locator("#brush-size")
    for typed, shown in (("99999", "1024"), ("", "1024"), ("0", "1024"), ("-3", "1")):
        size.fill(typed)
        size.blur()
        expect(size).to_have_value(shown)
