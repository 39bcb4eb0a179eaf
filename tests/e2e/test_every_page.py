"""What holds for every page: nobody is shut out, and a phone shows all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from app.cli.local_server import LocalServer
from tests.chromium import COLOUR_RULES, violations
from tests.e2e.conftest import Exhibit, Watch, own

pytestmark = pytest.mark.browser
PAGES = {
    "studio": "/",
    "gallery": "/images",
    "search": "/images?q=nothing+of+the+kind",
    "image": "/images/{image}",
    "delete": "/images/{image}/delete",
    "canvases": "/canvas",
    "checkpoints": "/checkpoints",
    "api": "/docs",
    "share": "{share}",
    "patterns": "/patterns",
    "missing": "/no-such-page",
}
WITH_PICTURE = ("studio", "gallery", "image", "delete", "share")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def phone(browser: Browser, exhibit: Exhibit, server: LocalServer) -> Iterator[tuple[Page, Watch]]:
    watch = Watch(browser, server)
    context = watch.open(viewport=PHONE, has_touch=True)
    own(context, exhibit, server)
    yield context.new_page(), watch
    watch.close()


def visit(page: Page, name: str, exhibit: Exhibit) -> None:
    page.goto(PAGES[name].format(image=exhibit.image_id, share=exhibit.share_path))
    page.wait_for_load_state()


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_in_light_and_dark(owned: Page, exhibit: Exhibit, name: str) -> None:
    """By all rules in light, and in dark by those that look at colours: nothing else of a page depends on them."""
    for scheme in SCHEMES:
        owned.emulate_media(color_scheme=scheme)
        visit(owned, name, exhibit)  # anew: Chromium is late in recolouring a page that is already drawn
        assert name not in WITH_PICTURE or owned.locator("main img").count() >= 1
        assert violations(owned, COLOUR_RULES if scheme == "dark" else None) == [], scheme


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_does_not_scroll_sideways(phone: tuple[Page, Watch], exhibit: Exhibit, name: str) -> None:
    page, watch = phone
    visit(page, name, exhibit)
    wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= seen
    watch.check()
