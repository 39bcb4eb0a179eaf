"""Drawing on the canvas in a real browser, with mouse and pen, and how the mask is saved."""

from __future__ import annotations

import pytest
from playwright.sync_api import APIResponse, Browser, Page, Route, expect

from tests.pages.easel import WINDOW
from tests.pages.painting import (
    SIDE,
    begin,
    box_of,
    draw,
    mask_of,
    on_screen,
    open_canvas,
    ready,
    said,
    saved,
    soon,
    state_of,
)

pytestmark = pytest.mark.browser
ZOOM = """zoom => new Promise((resolve) => {
    document.documentElement.style.zoom = zoom;
    requestAnimationFrame(() => requestAnimationFrame(resolve));
})"""


def size_brush(page: Page, size: int) -> None:
    page.locator("#brush-size").fill(str(size))
    page.locator("#brush-hardness").fill("100")


def test_drawing_lands_where_the_pointer_is_at_any_zoom(easel: Page) -> None:
    """At the browser's own zoom, which changes the density and the size in pixels, and at that of a style."""
    canvas_id = begin(easel)
    size_brush(easel, 20)
    zooming = easel.context.new_cdp_session(easel)
    for density in (0.67, 1.5, 2, 1):
        size = {name: round(pixels / density) for name, pixels in WINDOW.items()}
        zooming.send("Emulation.setDeviceMetricsOverride", {**size, "deviceScaleFactor": density, "mobile": False})
        assert easel.evaluate("devicePixelRatio") == pytest.approx(density)
        be_right_on_the_spot(easel, canvas_id)
    for zoom in (0.67, 1.5, 1):
        easel.evaluate(ZOOM, zoom)
        be_right_on_the_spot(easel, canvas_id)
    zooming.detach()


def be_right_on_the_spot(page: Page, canvas_id: str) -> None:
    """Draw a dot and find it where the pointer was, in the mask that is saved and in the hatching on the screen."""
    page.keyboard.press("0")
    draw(page, (60, 70), (60, 70))
    left, top, right, bottom = box_of(mask_of(page, canvas_id))
    assert (left + right) / 2 == pytest.approx(60, abs=1.5)
    assert (top + bottom) / 2 == pytest.approx(70, abs=1.5)
    assert right - left == pytest.approx(20, abs=1.5)
    assert middle_of_hatching(page) == pytest.approx(list(on_screen(page, (60, 70))[0]), abs=4)
    page.keyboard.press("Delete")


def middle_of_hatching(page: Page) -> list[float]:
    """Return the middle, on the screen, of what is hatched."""
    found: list[float] = page.evaluate(
        """() => new Promise((resolve) => requestAnimationFrame(() => {
            const mask = document.querySelector("[data-mask]");
            const { data } = mask.getContext("2d").getImageData(0, 0, mask.width, mask.height);
            const xs = [], ys = [];
            for (let at = 0; at < data.length / 4; at++) {
                if (data[4 * at + 3] < 60) continue;
                xs.push(at % mask.width);
                ys.push(Math.floor(at / mask.width));
            }
            const box = mask.getBoundingClientRect();
            const most = (list, better) => list.reduce((a, b) => better(a, b));
            const middle = (list) => (most(list, Math.min) + most(list, Math.max) + 1) / 2;
            resolve([box.x + (middle(xs) * box.width) / mask.width, box.y + (middle(ys) * box.width) / mask.width]);
        }))"""
    )
    return found


def test_a_mask_is_drawn_undone_exactly_saved_and_there_after_a_reload(easel: Page) -> None:
    page = easel
    canvas_id = begin(page)
    size_brush(page, 30)
    draw(page, (40, 40), (120, 90))
    first = mask_of(page, canvas_id)
    said(page, r"^Mask covers \d+ %$")
    page.keyboard.press("r")
    draw(page, (150, 150), (200, 220))
    page.keyboard.press("e")
    draw(page, (60, 30), (60, 200))
    page.keyboard.press("l")
    draw(page, (10, 200), (90, 200), (50, 250))
    last = mask_of(page, canvas_id)
    assert last is not None
    assert first is not None
    assert last.getpixel((175, 180)) == 255
    assert last.getpixel((60, 52)) == 0
    for _ in range(3):
        page.keyboard.press("Control+z")
    assert mask_of(page, canvas_id) == first
    for _ in range(3):
        page.keyboard.press("Control+Shift+z")
    assert mask_of(page, canvas_id) == last
    page.reload()
    ready(page)
    page.keyboard.press("i")
    page.keyboard.press("i")
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    assert mask_of(page, canvas_id) == last, "a mask that was loaded is not the one that was saved"
    page.keyboard.press("Delete")
    expect(page.locator("[data-about]")).to_contain_text("Nothing is masked")
    assert mask_of(page, canvas_id) is None


def test_a_pen_that_is_pressed_harder_draws_wider(easel: Page) -> None:
    page = easel
    canvas_id = begin(page)
    size_brush(page, 40)
    (light, hard) = on_screen(page, (60, 60), (180, 60))
    page.locator("[data-stage]").evaluate(
        """(stage, points) => {
            stage.setPointerCapture = () => {};
            for (const [x, y, pressure] of points)
                for (const type of ["pointerdown", "pointermove", "pointerup"]) {
                    const pen = { pointerId: 9, pointerType: "pen", button: 0, clientX: x, clientY: y, pressure };
                    stage.dispatchEvent(new PointerEvent(type, { ...pen, bubbles: true }));
                }
        }""",
        [[*light, 0.2], [*hard, 1]],
    )
    mask = mask_of(page, canvas_id)
    assert mask is not None
    across = [box_of(mask.crop((x - 50, 0, x + 50, 120))) for x in (60, 180)]
    widths = [right - left for left, _, right, _ in across]
    assert widths[1] == pytest.approx(40, abs=2)
    assert widths[0] == pytest.approx(40 * (0.15 + 0.85 * 0.2), abs=2)


def test_keys_of_other_keyboards_work_and_escape_gives_the_frame_back(easel: Page) -> None:
    begin(easel)
    size_brush(easel, 40)
    easel.keyboard.press("a")
    easel.keyboard.press("Backspace")
    soon(easel, "[data-about]", "Nothing is masked")
    easel.locator("[data-stage]").focus()
    easel.evaluate(
        """document.activeElement.dispatchEvent(new KeyboardEvent("keydown",
            { key: "]", ctrlKey: true, altKey: true, modifierAltGraph: true, bubbles: true })) && null"""
    )
    expect(easel.locator("#brush-size")).to_have_value("47")
    easel.keyboard.press("f")
    box = easel.locator('[data-handle="right"]').bounding_box()
    assert box is not None
    easel.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    easel.mouse.down()
    easel.mouse.move(box["x"] + 90, box["y"], steps=3)
    soon(easel, "[data-about]", "frame")
    easel.keyboard.press("Escape")
    easel.mouse.up()
    soon(easel, "[data-about]", "^256 × 256 · Nothing is masked$")
    expect(easel.get_by_role("button", name="Redo")).to_be_disabled()


def test_what_another_device_has_saved_is_not_written_over_unasked(easel: Page, chromium: Browser) -> None:
    page, canvas_id = easel, begin(easel)
    device = chromium.new_context(storage_state=page.context.storage_state())
    other = device.new_page()
    open_canvas(other, page.url)
    other.keyboard.press("a")
    saved(other)
    notice = page.get_by_text("This canvas was changed elsewhere")
    page.keyboard.press("r")
    draw(page, (10, 10), (60, 60))
    soon(page, "[data-saved]", "^Changed elsewhere$")
    expect(notice).to_be_visible()
    page.get_by_role("button", name="Load that").click()
    soon(page, "[data-about]", "All is masked")
    expect(notice).to_be_hidden()

    other.keyboard.press("i")
    saved(other)
    page.keyboard.press("Delete")
    draw(page, (10, 10), (60, 60))
    soon(page, "[data-saved]", "^Changed elsewhere$")
    page.get_by_role("button", name="Keep what is here").click()
    expect(notice).to_be_hidden()
    assert box_of(mask_of(page, canvas_id)) == pytest.approx((10, 10, 60, 60), abs=1)
    device.close()


def test_what_was_read_before_all_was_saved_is_not_taken_for_news(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    path, held = f"/api/canvases/{canvas_id}", list[tuple[Route, APIResponse]]()
    page.route(f"**{path}", lambda route: route.continue_() if held else held.append((route, route.fetch())))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange')) && null")  # looks what is new
    while not held:
        page.evaluate("null")  # lets the route be handled
    page.keyboard.press("r")
    draw(page, (10, 10), (60, 60))
    saved(page)
    with page.expect_response(f"**{path}"):  # it looks again
        held[0][0].fulfill(response=held[0][1])
    page.unroute(f"**{path}")
    draw(page, (10, 10), (90, 60))
    assert box_of(mask_of(page, canvas_id)) == pytest.approx((10, 10, 90, 60), abs=1)


def test_what_is_here_is_kept_also_when_another_device_went_on_to_another_picture(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    before = state_of(page, canvas_id)["image"]["id"]
    path = f"/api/canvases/{canvas_id}"
    page.route(f"**{path}", lambda route: route.abort() if route.request.method == "GET" else route.continue_())
    page.request.patch(path, data={"frame": {"x": -64, "y": 0, "width": 320, "height": 256}})
    page.request.post(f"{path}/candidates", data={"prompt": "a lake", "steps": 2})
    draw(page, (10, 10), (60, 60))
    soon(page, "[data-saved]", "^Changed elsewhere$")
    page.unroute(f"**{path}")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange')) && null")  # looks what is new
    soon(page, ".canvas-tiles li:nth-child(2)", "^done$", "data-state")
    (candidate,) = state_of(page, canvas_id)["candidates"]
    page.request.post(f"{path}/accept", data={"image_id": candidate["image"]["id"]})
    page.get_by_role("button", name="Keep what is here").click()
    mask = mask_of(page, canvas_id)
    now = state_of(page, canvas_id)
    assert (now["image"]["id"], now["frame"]["width"], len(now["history"])) == (before, SIDE, 2)
    assert mask is not None
    assert mask.size == (SIDE, SIDE)
    soon(page, "[data-walk] [aria-current=step]", "The beginning")


def test_it_says_so_while_nothing_can_be_saved_and_saves_as_soon_as_it_can(easel: Page) -> None:
    page, canvas_id = easel, begin(easel)
    page.context.set_offline(True)
    page.keyboard.press("a")
    soon(page, "[data-saved]", "^Not saved$")
    page.keyboard.press("r")
    draw(page, (10, 10), (60, 60))
    page.keyboard.press("Control+z")
    page.context.set_offline(False)
    assert box_of(mask_of(page, canvas_id)) == (0, 0, SIDE, SIDE)
