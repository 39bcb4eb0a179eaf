"""One server, one engine and one tab for all tests in the shared browser: starting them would be half of their time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from app.engine.client import EngineClient
from app.main import create_app, make_server
from app.services import hashes
from app.settings import Settings
from tests.api.conftest import PATIENCE_SECONDS, port_of
from tests.app.fake_engine import FakeEngine
from tests.app.storing import migrated
from tests.chromium import shared

FORGET = "() => { try { localStorage.clear(); sessionStorage.clear(); } catch { /* there is no page yet */ } }"
WINDOW = {"width": 1280, "height": 800}


@dataclass(frozen=True)
class Stand:
    """A server with its fake engine, and a tab in front of it with what went wrong there."""

    engine: FakeEngine
    url: str
    tab: Page
    faults: list[str]


@pytest.fixture
def stand(wordy_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Stand:
    return shared.keep("stand", lambda browser: _set_up(browser, wordy_checkpoint, tmp_path_factory.mktemp("easel")))


@contextmanager
def _set_up(browser: Browser, checkpoint: Path, folder: Path) -> Iterator[Stand]:
    settings = migrated(Settings(data=folder / "data", checkpoint=str(checkpoint), max_pending=12, port=0))
    with pytest.MonkeyPatch.context() as patch, FakeEngine(folder / "engine.sock", checkpoints=("bare",)) as engine:
        patch.setattr(hashes, "START_SECONDS", 3600.0)
        server = make_server(create_app(settings, engine=EngineClient(engine.socket)), settings)
        thread = threading.Thread(target=server.run, name="web", daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{port_of(server, thread)}"
        yield _opened(browser, engine, url)
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "the server did not end"


def _opened(chromium: Browser, engine: FakeEngine, url: str) -> Stand:
    tab, faults = chromium.new_page(base_url=url, viewport=WINDOW), list[str]()  # type: ignore[arg-type]
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda said: faults.append(said.text) if "Security Policy" in said.text else None)
    return Stand(engine, url, tab, faults)


@pytest.fixture
def easel(stand: Stand) -> Iterator[Page]:
    """The tab, as its user left it; a script error or a violated security policy in it fails the test."""
    stand.engine.step_delay, stand.engine.fail_with = 0.0, None
    stand.faults.clear()
    if stand.tab.viewport_size != WINDOW:
        stand.tab.set_viewport_size(WINDOW)  # type: ignore[arg-type]
    yield stand.tab
    assert not stand.faults


@pytest.fixture
def page(easel: Page) -> Page:
    """The tab in the hands of someone new, before a larger window."""
    easel.context.clear_cookies()
    easel.evaluate(FORGET)
    easel.set_viewport_size({"width": 1440, "height": 900})
    easel.emulate_media(color_scheme="light")
    return easel
