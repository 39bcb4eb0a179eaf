"""What holds for every page: nobody is shut out, and a phone shows all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from app.cli.local_server import LocalServer
from tests.chromium import COLOUR_RULES, violations
from tests.e2e.conftest import Exhibit, Watch, page_of_owner

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
WITH_PICTURE = ("studio", "gallery", "image", "delete", "share")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def watch(browser: Browser, server: LocalServer) -> Iterator[Watch]:
    watch = Watch(browser, server)
    yield watch
    watch.close()


@pytest.fixture(scope="module")
def desktop(watch: Watch, exhibit: Exhibit, server: LocalServer) -> Page:
    """A tab for all pages: to open another for each would take as long as looking at them."""
    return page_of_owner(watch.open(reduced_motion="reduce"), exhibit, server)


@pytest.fixture(scope="module")
def phone(watch: Watch, exhibit: Exhibit, server: LocalServer) -> Page:
    return page_of_owner(watch.open(viewport=PHONE, has_touch=True), exhibit, server)


@pytest.fixture(autouse=True)
def watched(watch: Watch) -> Iterator[None]:
    yield
    watch.check()


def visit(page: Page, name: str, exhibit: Exhibit) -> None:
    page.goto(PAGES[name].format(image=exhibit.image_id, share=exhibit.share_path))
    page.wait_for_load_state()


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_in_light_and_dark(desktop: Page, exhibit: Exhibit, name: str) -> None:
    """By all rules in light, and in dark by those that look at colours: nothing else of a page depends on them."""
    for scheme in SCHEMES:
        desktop.emulate_media(color_scheme=scheme)
        visit(desktop, name, exhibit)  # anew: Chromium is late in recolouring a page that is already drawn
        assert name not in WITH_PICTURE or desktop.locator("main img").count() >= 1
        assert violations(desktop, COLOUR_RULES if scheme == "dark" else None) == [], scheme


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_does_not_scroll_sideways(phone: Page, exhibit: Exhibit, name: str) -> None:
    visit(phone, name, exhibit)
    wide, seen = phone.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= seen
