"""What holds for every page: nobody is shut out, and a phone shows all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.e2e.conftest import Exhibit

pytestmark = pytest.mark.browser
PAGES = {
    "studio": "/",
    "gallery": "/images",
    "image": "/images/{image}",
    "delete": "/images/{image}/delete",
    "canvases": "/canvas",
    "checkpoints": "/checkpoints",
    "api": "/docs",
    "share": "{share}",
    "patterns": "/patterns",
    "missing": "/no-such-page",
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PHONE = {"width": 360, "height": 740}


def visit(page: Page, name: str, exhibit: Exhibit) -> None:
    page.goto(PAGES[name].format(image=exhibit.image_id, share=exhibit.share_path))
    page.wait_for_load_state()


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_in_light_and_dark(owned: Callable[..., Page], exhibit: Exhibit, name: str) -> None:
    page = owned(reduced_motion="reduce", color_scheme="light")
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        visit(page, name, exhibit)  # anew: Chromium is late in recolouring a page that is already drawn
        results = Axe().run(page)
        assert not results.response["violations"], f"{scheme}: {results.generate_report()}"


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_does_not_scroll_sideways(owned: Callable[..., Page], exhibit: Exhibit, name: str) -> None:
    page = owned(viewport=PHONE, has_touch=True)
    visit(page, name, exhibit)
    wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= seen
