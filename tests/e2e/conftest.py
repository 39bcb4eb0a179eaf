"""A real server with its engine, and a real browser whose every request is watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from app.cli.local_server import LocalServer, post, wait
from app.settings import Settings
from tests.chromium import shared

PATIENCE_MS = 60_000
DESKTOP = {"width": 1440, "height": 900}
HARMLESS = ("data:", "blob:")
NewContext = Callable[..., BrowserContext]


@dataclass(frozen=True)
class Exhibit:
    """A picture that is there, with a link, and the cookie of its owner."""

    image_id: str
    share_path: str
    cookies: dict[str, str]


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Iterator[LocalServer]:
    data = tmp_path_factory.mktemp("e2e") / "data"
    settings = Settings(data=data, checkpoint=str(tiny_checkpoint), concurrency=4, reuse=False)  # each picture is made
    with LocalServer(settings) as server:
        yield server


@pytest.fixture(scope="package")
def browser() -> Browser:
    expect.set_options(timeout=PATIENCE_MS)
    return shared.get()


@pytest.fixture(scope="package")
def exhibit(server: LocalServer) -> Exhibit:
    with server.client() as client:
        (job,) = wait(client, post(client, prompt="mountains by the lake", seed=7))
        image_id = job["image"]["id"]
        share = client.post(f"/api/images/{image_id}/share", json={"show_recipe": True}).raise_for_status()
        path = "/s/" + share.json()["url"].partition("/s/")[2]
        return Exhibit(image_id, path, dict(client.cookies))


class Watch:
    """Opens browsers of their own; none may ask another server, break the policy or throw an error."""

    def __init__(self, browser: Browser, server: LocalServer) -> None:
        self._browser, self._server = browser, server
        self._opened: list[BrowserContext] = []
        self._strangers: list[str] = []
        self._faults: list[str] = []

    def open(self, **options: object) -> BrowserContext:
        given = {"base_url": self._server.url, "viewport": DESKTOP, **options}
        context = self._browser.new_context(**given)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        context.on("request", self._note)
        context.on("weberror", lambda error: self._faults.append(str(error.error)))
        context.on("console", lambda said: self._faults.append(said.text) if "Content Security" in said.text else None)
        self._opened.append(context)
        return context

    def close(self) -> None:
        for context in self._opened:
            context.close()
        self.check()

    def check(self) -> None:
        """Fail if since the last time any of them did what it may not."""
        strangers, self._strangers = self._strangers, []
        faults, self._faults = self._faults, []
        assert not strangers, "a page asked another server"
        assert not faults

    def _note(self, request: Request) -> None:
        if not request.url.startswith((self._server.url + "/", *HARMLESS)):
            self._strangers.append(request.url)


@pytest.fixture
def new_context(browser: Browser, server: LocalServer) -> Iterator[NewContext]:
    watch = Watch(browser, server)
    yield watch.open
    watch.close()


@pytest.fixture(scope="package")
def tab(browser: Browser, server: LocalServer) -> Iterator[tuple[Page, Watch]]:
    """One tab for all tests: another for each would take as long as what most of them do in it."""
    watch = Watch(browser, server)
    yield watch.open(reduced_motion="reduce").new_page(), watch
    watch.close()


@pytest.fixture
def page(tab: tuple[Page, Watch]) -> Iterator[Page]:
    """The tab in the hands of someone new."""
    page, watch = tab
    page.context.clear_cookies()
    page.emulate_media(color_scheme="light")
    yield page
    page.unroute_all()
    watch.check()


@pytest.fixture
def owned(page: Page, exhibit: Exhibit, server: LocalServer) -> Page:
    """The tab in the hands of the owner of the exhibit."""
    own(page.context, exhibit, server)
    return page


def own(context: BrowserContext, exhibit: Exhibit, server: LocalServer) -> None:
    """Give a browser the cookie of the owner of the exhibit."""
    context.add_cookies([{"name": name, "value": value, "url": server.url} for name, value in exhibit.cookies.items()])


@pytest.fixture(autouse=True)
def server_log(server: LocalServer) -> Iterator[None]:
    """Show with a failed test what the server said during it."""
    before = len(server.log)
    yield
    print("\n".join(server.log[before:]))
