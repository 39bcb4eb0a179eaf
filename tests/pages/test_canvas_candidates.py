"""What is asked for from the canvas, in a real browser: the frame, candidates, steps; by keyboard, and for axe."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.chromium import COLOUR_RULES, violations
from tests.pages.easel import Stand
from tests.pages.painting import (
    SIDE,
    begin,
    box_of,
    done,
    drag,
    generate,
    mask_of,
    open_canvas,
    picture,
    ready,
    said,
    saved,
    soon,
    state_of,
)

pytestmark = pytest.mark.browser
CALLED = """() => {
    const element = document.activeElement;
    return (element.labels?.[0] ?? element).innerText?.trim() || element.ariaLabel || "";
}"""

INKED = """() => {
    const { width, height } = document.querySelector("[data-mask]");
    const { data } = document.querySelector("[data-mask]").getContext("2d").getImageData(0, 0, width, height);
    return data.filter((_, at) => at % 4 == 3 && data[at] > 0).length / (width * height);
}"""


def test_a_picture_is_carried_on_beyond_its_edge_and_shared(easel: Page, stand: Stand, chromium: Browser) -> None:
    page, canvas_id = easel, begin(easel)
    page.keyboard.press("f")
    drag(page, "left", -100, 0)
    drag(page, "bottom right", 60, 60)
    expect(page.locator("[data-effect]")).to_have_text("This will paint on beyond the edge.")
    saved(page)
    frame = state_of(page, canvas_id)["frame"]
    assert frame["x"] < 0 == frame["y"]
    assert all(frame[side] % 8 == 0 for side in frame)
    assert frame["width"] + frame["x"] > SIDE
    page.keyboard.press("Control+z")
    saved(page)
    assert state_of(page, canvas_id)["frame"]["height"] == SIDE
    page.keyboard.press("Control+Shift+z")
    saved(page)
    assert state_of(page, canvas_id)["frame"] == frame

    stand.engine.step_delay = 0.3
    page.get_by_label("Prompt", exact=True).fill("a cabin by the lake")
    page.locator("label:has(input[name=count][value='2'])").click()
    page.get_by_role("button", name="Generate").click()
    soon(page, "[data-strip-words]", "^Candidate 1 of 2, step")
    soon(page, ".canvas-tile img", "/preview.png", "src")
    page.reload()
    stand.engine.step_delay = 0
    ready(page)
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cabin by the lake")
    done(page, 2)

    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-strip-words]")).to_have_text("Candidate 2 of 2")
    page.keyboard.down("c")
    expect(page.locator("[data-canvas]")).to_have_attribute("data-comparing", "")
    page.keyboard.up("c")
    expect(page.locator("[data-canvas]")).not_to_have_attribute("data-comparing", "")
    page.get_by_role("button", name="Accept").click()
    expect(page.locator("[data-strip-root]")).to_be_hidden()
    now = state_of(page, canvas_id)
    assert (now["image"]["width"], now["image"]["height"]) == (frame["width"], frame["height"])
    assert [step["parent_id"] for step in now["history"]] == [None, now["history"][0]["image_id"]]
    expect(page.locator("[data-about]")).to_contain_text(f"{frame['width']} × {frame['height']}")

    page.get_by_role("link", name="Share the picture").click()
    page.get_by_role("button", name="Make a link").click()
    stranger = chromium.new_page()
    answer = stranger.goto(page.get_by_label("Here is the link").input_value())
    assert answer is not None
    assert answer.ok
    assert stranger.locator(".print-picture img").evaluate("image => image.naturalWidth") == frame["width"]
    stranger.close()


def pictures(page: Page) -> int:
    """Count what is in the gallery."""
    return len(page.request.get("/api/images?limit=200").json()["images"])


def test_the_way_back_branches(easel: Page) -> None:
    page, before = easel, pictures(easel)
    canvas_id = begin(page)
    for _ in range(2):
        generate(page, "1")
        page.get_by_role("button", name="Accept").click()
        expect(page.locator("[data-strip-root]")).to_be_hidden()
    steps = page.locator("[data-walk] li")
    expect(steps).to_have_count(3)
    expect(page.locator("[data-walk] [aria-current=step]")).to_contain_text("Step 2")
    steps.nth(1).get_by_role("button").click()
    soon(page, "[data-walk] [aria-current=step]", "Step 1")
    generate(page, "2")
    page.get_by_role("button", name="Discard").click()
    soon(page, "[data-strip-words]", "^Candidate 1 of 1$")
    page.get_by_role("button", name="Accept").click()
    soon(page, "[data-walk]", "a branch")
    history = state_of(page, canvas_id)["history"]
    parents = [step["parent_id"] for step in history]
    assert parents == [None, history[0]["image_id"], history[1]["image_id"], history[1]["image_id"]]
    assert pictures(page) == before + 4, "what was discarded is still in the gallery"

    generate(page, "2")
    page.get_by_role("button", name="Keep all").click()
    expect(page.locator("[data-strip-root]")).to_be_hidden()
    assert pictures(page) == before + 6


def test_a_candidate_that_failed_or_was_cancelled_is_made_again(easel: Page, stand: Stand) -> None:
    page, canvas_id = easel, begin(easel)
    stand.engine.fail_with = {"code": "nan", "message": "The picture came out empty."}
    page.route("**/candidates", lambda route: answer_late(route, page, canvas_id), times=1)
    page.get_by_label("Prompt", exact=True).fill("a cabin")
    page.get_by_role("button", name="Generate").click()
    soon(page, "[data-strip-error]", "^The picture came out empty.$")
    expect(page.get_by_role("button", name="Accept")).to_be_hidden()
    stand.engine.fail_with, stand.engine.step_delay = None, 0.5
    page.get_by_role("button", name="Try again").click()
    soon(page, "[data-strip-words]", ", step")
    (candidate,) = state_of(page, canvas_id)["candidates"]
    page.request.delete(f"/api/jobs/{candidate['job']}")
    soon(page, "[data-strip-error]", "^It was cancelled")
    stand.engine.step_delay = 0
    page.get_by_role("button", name="Try again").click()
    done(page, 1)
    expect(page.get_by_role("button", name="Accept")).to_be_enabled()
    assert [one["job"] for one in state_of(page, canvas_id)["candidates"]] == [candidate["job"]]


def answer_late(route: Route, page: Page, canvas_id: str) -> None:
    """Answer only when what was asked for has failed, and the page has been told so."""
    response = route.fetch()
    while not any(one["status"] == "failed" for one in state_of(page, canvas_id)["candidates"]):
        page.wait_for_timeout(20)
    page.wait_for_timeout(500)
    route.fulfill(response=response)


def test_the_keyboard_alone_is_enough(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    tab_to(page, "Without drawing")
    page.keyboard.press("Enter")
    for name, value in (("From left", 64), ("From top", 32), ("Width", 64), ("Height", 128)):
        tab_to(page, name)
        page.keyboard.press("Control+a")
        page.keyboard.type(str(value))
    tab_to(page, "Mask it")
    page.keyboard.press("Enter")
    said(page, "^Mask covers 13 %$")
    assert box_of(mask_of(page, canvas_id)) == (64, 32, 128, 160)
    tab_to(page, "Mask everything but it")
    page.keyboard.press("Enter")
    said(page, "^Mask covers 88 %$")
    tab_to(page, "Left")
    page.keyboard.press("Control+a")
    page.keyboard.type("64")
    tab_to(page, "Set the frame")
    page.keyboard.press("Enter")
    said(page, "the frame adds 64 on the left")
    saved(page)
    assert state_of(page, canvas_id)["frame"] == {"x": -64, "y": 0, "width": 320, "height": 256}
    page.keyboard.press("f")
    tab_to(page, "Frame, left; arrow keys move it")
    page.keyboard.press("ArrowLeft")
    said(page, "the frame adds 72 on the left")
    tab_to(page, "Prompt")
    hatched = page.evaluate(INKED)
    page.keyboard.type("a cabin")
    page.keyboard.press("Control+Enter")
    done(page, 1)
    tab_to(page, "Hold to compare")
    page.keyboard.down("Enter")
    said(page, "^As it was, without candidate 1$")
    page.wait_for_function(f"({INKED})() > 0")
    assert page.evaluate(INKED) < hatched / 10, "the mask hides what a candidate is compared with"
    page.keyboard.up("Enter")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    said(page, "^Candidate 1 of 1$")
    tab_to(page, "Accept")
    page.keyboard.press("Enter")
    said(page, "^Accepted. It is the picture now.$")
    expect(page.locator("[data-about]")).to_contain_text("328 × 256")


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has the focus is called this."""
    for _ in range(90):
        page.keyboard.press("Tab")
        if page.evaluate(CALLED) == name:
            return
    raise AssertionError(f"90 times Tab do not reach {name!r}")


def test_axe_finds_nothing_in_light_and_dark(easel: Page) -> None:
    """By all rules in light, and in dark by those that look at colours: nothing else of a page depends on them."""
    page, canvas_id = easel, begin(easel)
    page.keyboard.press("a")
    generate(page, "2")
    page.goto("/canvas")
    assert violations(page) == []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
        open_canvas(page, canvas_id)  # anew: Chromium is late in recolouring a page that is already drawn
        page.keyboard.press("f")
        for summary in page.locator("summary").all():
            summary.click()
        assert violations(page, COLOUR_RULES if scheme == "dark" else None) == [], scheme
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []
    page.goto("/canvas")
    assert violations(page, COLOUR_RULES) == []
    page.emulate_media(color_scheme="light", reduced_motion="null")


def test_a_fault_is_shown_beside_its_field(easel: Page) -> None:
    page = easel
    begin(page)
    page.get_by_label("Prompt", exact=True).fill("a cabin")
    page.locator("form[data-panel]").evaluate("form => { form.noValidate = true }")
    page.get_by_role("spinbutton", name="Strength").fill("7")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#strength-fault")).to_be_visible()
    expect(page.get_by_role("spinbutton", name="Strength")).to_be_focused()
    expect(page.locator("[data-strip-root]")).to_be_hidden()


def test_a_picture_is_chosen_pasted_or_dropped(easel: Page) -> None:
    page = easel
    page.goto("/canvas")
    before = page.locator(".canvas-recents li").count()
    page.set_input_files("#canvas-file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no picture"})
    soon(page, "[data-drop-state]", "no PNG, JPEG or WebP")
    page.set_input_files("#canvas-file", {"name": "a.png", "mimeType": "image/png", "buffer": picture()})
    page.wait_for_url("**/canvas/*")
    ready(page)
    for kind in ("paste", "drop"):
        page.goto("/canvas")
        page.evaluate(
            """async ([kind, bytes]) => {
                const carried = new DataTransfer();
                carried.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
                const event = kind === "paste"
                    ? new ClipboardEvent(kind, { clipboardData: carried, bubbles: true, cancelable: true })
                    : new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true });
                document.body.dispatchEvent(event);
            }""",
            [kind, list(picture())],
        )
        page.wait_for_url("**/canvas/*")
        ready(page)
    page.goto("/canvas")
    expect(page.locator(".canvas-recents li")).to_have_count(before + 3)
    page.get_by_role("button", name="Forget this canvas").first.click()
    expect(page.locator(".canvas-recents li")).to_have_count(before + 2)


def test_each_candidate_shows_its_own_seed(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    generate(page, "2")
    seeds = [str(one["seed"]) for one in state_of(page, canvas_id)["candidates"]]
    assert len(set(seeds)) == 2
    assert page.locator(".canvas-seed").all_inner_texts() == seeds
    for place, seed in enumerate(seeds, 1):
        tile = page.get_by_role("button", name=f"Candidate {place}", exact=True)
        expect(tile).to_have_accessible_description(f"Seed {seed}")
