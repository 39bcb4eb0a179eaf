"""How long a dab of the brush takes in a real browser without a GPU; needs the test tools and a Chromium."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from app.cli.bench import Figure, own_folder
from app.cli.browser import find_browser
from app.cli.local_server import LocalServer
from app.settings import Settings

SIZE = (1536, 1024)  # pixels
VIEWPORT = {"width": 1440, "height": 900}
BRUSHES = (48, 128, 256)  # pixels across
DABS = 400

# Frames are timed with what they have drawn, which reading a pixel back enforces.
TIME_FRAMES = """
    const ask = window.requestAnimationFrame.bind(window);
    window.frames_ms = [];
    window.requestAnimationFrame = (callback) => ask((now) => {
        const begun = performance.now();
        callback(now);
        document.querySelector("[data-mask]")?.getContext("2d").getImageData(0, 0, 1, 1);
        window.frames_ms.push(performance.now() - begun);
    });
"""
DRAW = """async ({ across, dabs }) => {
    const stage = document.querySelector("[data-stage]"), size = document.querySelector("#brush-size");
    const box = document.querySelector(".canvas-frame").getBoundingClientRect();
    size.value = across;
    size.dispatchEvent(new Event("input", { bubbles: true }));
    stage.setPointerCapture = () => {};
    const send = (type, turn) => {
        const clientX = box.x + box.width * (0.5 + 0.42 * Math.sin(turn / 11));
        const clientY = box.y + box.height * (0.5 + 0.4 * Math.cos(turn / 7.3));
        const mouse = { pointerId: 1, pointerType: "mouse", clientX, clientY, bubbles: true };
        stage.dispatchEvent(new PointerEvent(type, mouse));
    };
    const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const times = [];
    send("pointerdown", 0);
    for (let turn = 1; turn <= dabs; turn++) {
        window.frames_ms.length = 0;
        const begun = performance.now();
        send("pointermove", turn);
        const handled = performance.now() - begun;
        await frame();
        times.push(window.frames_ms.reduce((sum, time) => sum + time, handled));
    }
    send("pointerup", dabs);
    return times;
}"""


def measure(settings: Settings) -> Iterator[Figure]:
    """Draw one long stroke for each size of brush. Raises `RuntimeError` where there is no browser to draw in."""
    path = find_browser()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise RuntimeError("Playwright is missing; it comes with `python3 -m app test`") from error
    if path is None:
        raise RuntimeError("there is no Chromium; name it in MEZZOTINT_BROWSER")
    with own_folder(settings) as own, LocalServer(own) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(base_url=server.url, viewport=VIEWPORT)  # type: ignore[arg-type]
        _open_canvas(page)
        for across in BRUSHES:
            times = sorted(page.evaluate(DRAW, {"across": across, "dabs": DABS}))
            yield Figure(f"a dab of {across} pixels at {SIZE[0]} x {SIZE[1]}, median", times[DABS // 2], "ms")
            yield Figure(f"a dab of {across} pixels, 99th percentile", times[DABS * 99 // 100], "ms")
        browser.close()


def _open_canvas(page: Any) -> None:
    from PIL import Image

    png = io.BytesIO()
    Image.linear_gradient("L").resize(SIZE).convert("RGB").save(png, "PNG")
    page.add_init_script(TIME_FRAMES)
    page.goto("/canvas")
    page.set_input_files("#canvas-file", {"name": "a.png", "mimeType": "image/png", "buffer": png.getvalue()})
    page.locator("[data-canvas][data-state=ready]").wait_for()
