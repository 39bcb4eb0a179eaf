"""The Chromium of the tests: one way of starting it, and axe in its pages."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, TypeVar

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, sync_playwright

from app.cli.browser import find_browser

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--js-flags=--min-semi-space-size=64 --max-semi-space-size=64",  # MiB: axe makes more garbage than a page does
)
# Hundreds of elements have the same few colours, and axe parses each anew for every element that lies upon it.
REMEMBER_COLOURS = """
(({ prototype }) => {
    const known = new Map(), parse = prototype.parseString;
    prototype.parseString = function (said) {
        if (known.has(said)) return Object.assign(this, known.get(said));
        parse.call(this, said);
        known.set(said, { r: this.r, g: this.g, b: this.b, alpha: this.alpha });
        return this;
    };
})(axe.commons.color.Color);
"""
COLOUR_RULES = ("color-contrast", "link-in-text-block")  # those of axe that look at colours
AXE_RUN = """(options) => axe.run(document, options).then(({ violations }) => violations.map(
    ({ id, help, nodes }) => `${id}, ${help}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`
))"""

T = TypeVar("T")


class Shared:
    """One browser for all tests that want one, started for the first of them.

    While it is open an event loop is there that `asyncio.run` would mind, so `tests/conftest.py` closes it before the
    next test that is none of `BROWSER_TESTS`.
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self._browser: Browser | None = None
        self._kept: dict[str, Any] = {}

    def get(self) -> Browser:
        """Return the browser. Where there is none, tests are skipped, or fail if `REQUIRE_BROWSER` is set."""
        if self._browser is None:
            path = find_browser()
            if path is None:
                reason = "there is no Chromium on this machine; install one, or name it in MEZZOTINT_BROWSER"
                pytest.fail(reason) if os.environ.get("REQUIRE_BROWSER", "") not in ("", "0") else pytest.skip(reason)
            playwright = self._open.enter_context(sync_playwright())
            self._browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
            self._open.callback(self._browser.close)
        return self._browser

    def keep(self, name: str, opening: Callable[[Browser], AbstractContextManager[T]]) -> T:
        """Return what `opening` gives: opened for the first who asks for this name, closed before the browser is."""
        browser = self.get()
        if name not in self._kept:
            self._kept[name] = self._open.enter_context(opening(browser))
        found: T = self._kept[name]
        return found

    def close(self) -> None:
        """End it, if it was started."""
        self._browser = None
        self._kept.clear()
        self._open.close()


shared = Shared()


def violations(page: Page, only: Sequence[str] | None = None) -> list[str]:
    """Return what axe finds by all its rules, or `only` these: each that is broken, and the elements that break it.

    Only that is fetched from the page: all that axe has looked at is a megabyte, which takes longer than looking.
    """
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(AXE_SCRIPT + REMEMBER_COLOURS)
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(only)} if only is not None else {})
    found: list[str] = page.evaluate(AXE_RUN, options)
    return found
