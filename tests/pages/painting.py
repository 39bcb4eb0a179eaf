"""Working on a canvas in a browser as a person would: opening one, drawing, and looking at what was saved."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image
from playwright.sync_api import CDPSession, Page, expect

SIDE = 256  # pixels of the picture of the tests
SOON = """([selector, attribute, pattern, most]) => new Promise((resolve) => {
    const end = performance.now() + most;
    const look = () => {
        const found = document.querySelector(selector);
        const now = found && (attribute ? found.getAttribute(attribute) : found.textContent.trim());
        if (now != null && new RegExp(pattern).test(now)) resolve(null);
        else if (performance.now() > end) resolve([now]);
        else setTimeout(look, 15);
    };
    look();
})"""
PATIENCE_MS = 20_000
Point = tuple[float, float]


def picture(width: int = SIDE, height: int = SIDE) -> bytes:
    """Return a PNG whose colour changes from corner to corner."""
    image = Image.linear_gradient("L").resize((width, height))
    png = io.BytesIO()
    Image.merge("RGB", (image, image.rotate(90, expand=True).resize((width, height)), image)).save(png, "PNG")
    return png.getvalue()


def start(page: Page, content: bytes | None = None) -> str:
    """Upload a picture and put it on a canvas. Returns the canvas's id."""
    file = {"name": "picture.png", "mimeType": "image/png", "buffer": content or picture()}
    image = page.request.post("/api/images", multipart={"file": file}).json()  # type: ignore[dict-item]
    canvas = page.request.post("/api/canvases", data={"image_id": image["id"]})
    return str(canvas.json()["id"])


def open_canvas(page: Page, address: str) -> None:
    """Go to a canvas by its id or its URL."""
    page.goto(address if ":" in address else f"/canvas/{address}")
    ready(page)


def ready(page: Page) -> None:
    expect(page.locator("[data-canvas]")).to_have_attribute("data-state", "ready")


def soon(page: Page, selector: str, pattern: str, attribute: str = "") -> None:
    """Wait until the text, or an attribute, of an element matches; as `expect`, but without its pauses of a second."""
    missed = page.evaluate(SOON, [selector, attribute, pattern, PATIENCE_MS])
    assert missed is None, f"{selector} is {missed}, and not {pattern!r}"


def said(page: Page, pattern: str) -> None:
    """Wait until a screen reader is told this."""
    soon(page, "[data-said]", pattern)


def begin(page: Page) -> str:
    """Open a new canvas and return its id."""
    canvas_id = start(page)
    open_canvas(page, canvas_id)
    return canvas_id


def saved(page: Page) -> None:
    """Wait until the server has all; as a browser that is online again, the page does not wait for a quiet moment."""
    page.evaluate("dispatchEvent(new Event('online')) && null")
    soon(page, "[data-saved]", "^saved$", "data-state")


def state_of(page: Page, canvas_id: str) -> dict[str, Any]:
    """Return what the server keeps."""
    canvas: dict[str, Any] = page.request.get(f"/api/canvases/{canvas_id}").json()
    return canvas


def mask_of(page: Page, canvas_id: str) -> Image.Image | None:
    """Return the mask that the server keeps."""
    saved(page)
    answer = page.request.get(f"/api/canvases/{canvas_id}/mask")
    return Image.open(io.BytesIO(answer.body())).convert("L") if answer.ok else None


def box_of(mask: Image.Image | None) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what is masked."""
    assert mask is not None, "nothing is masked"
    box = mask.getbbox()
    assert box is not None
    return box


def on_screen(page: Page, *points: Point) -> list[Point]:
    """Return where points of the picture are seen, as long as the frame is as large as it."""
    box = page.locator(".canvas-frame").bounding_box()
    assert box is not None
    return [(box["x"] + x / SIDE * box["width"], box["y"] + y / SIDE * box["height"]) for x, y in points]


def draw(page: Page, *points: Point) -> None:
    """Draw with the mouse through points of the picture."""
    first, *others = on_screen(page, *points)
    page.mouse.move(*first)
    page.mouse.down()
    for point in others:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def drag(page: Page, handle: str, dx: float, dy: float) -> None:
    """Drag a handle of the frame by as many pixels of the screen."""
    box = page.locator(f'[data-handle="{handle}"]').bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=5)
    page.mouse.up()


def touch(fingers: CDPSession, kind: str, points: Sequence[Point] = ()) -> None:
    """Let fingers do something: touchStart, touchMove, touchEnd."""
    fingers.send(
        "Input.dispatchTouchEvent",
        {"type": kind, "touchPoints": [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]},
    )


def generate(page: Page, count: str = "2", prompt: str = "a cabin by the lake") -> None:
    """Ask for candidates, on a canvas without any, and wait until all are there."""
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.locator(f"label:has(input[name=count][value='{count}'])").click()
    page.get_by_role("button", name="Generate").click()
    done(page, int(count))


def done(page: Page, count: int) -> None:
    """Wait until this candidate, counted from 1, and all before it are done."""
    for place in range(2, count + 2):
        soon(page, f".canvas-tiles li:nth-child({place})", "^done$", "data-state")
    expect(page.locator(".canvas-tiles li")).to_have_count(count + 1)
