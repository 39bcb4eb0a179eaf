"""The server of the API's tests, with a checkpoint that knows few words, and a real browser in front of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from app.settings import Settings
from tests.api.conftest import alice, app, bare_checkpoint, build, charlie, decode_once, engine, live, look_once
from tests.app.storing import migrated
from tests.chromium import shared
from tests.pages.easel import easel, stand

__all__ = ["alice", "app", "bare_checkpoint", "build", "charlie", "decode_once", "easel", "engine", "live", "stand"]
__all__ += ["look_once"]

EXAMPLES = [f"a cabin by the lake at {time}" for time in ("dawn", "noon", "dusk", "night", "sunset")]
WORDS = {"things": ["mountains", "lake", "cabin"], "times": ["dawn", "noon", "dusk", "night", "sunset"]}


@pytest.fixture(scope="session")
def wordy_checkpoint(bare_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint without weights, that now says which words it knows."""
    folder = tmp_path_factory.mktemp("wordy") / "bare"
    shutil.copytree(bare_checkpoint, folder)
    card = json.loads((folder / "mezzotint.json").read_text())
    card |= {"title": "Few words", "examples": EXAMPLES, "words": WORDS, "grammar_words": ["a", "by", "the", "at"]}
    (folder / "mezzotint.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def settings(tmp_path: Path, wordy_checkpoint: Path) -> Settings:
    return migrated(Settings(data=tmp_path / "data", checkpoint=str(wordy_checkpoint), max_pending=12))


@pytest.fixture(scope="module")
def chromium() -> Browser:
    """The real browser that tests share."""
    return shared.get()


@pytest.fixture
def context(chromium: Browser, live: str) -> Iterator[BrowserContext]:
    """A browser of someone new."""
    context = chromium.new_context(base_url=live, viewport={"width": 1440, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab; a script error or a violated security policy in it fails the test."""
    page, faults = context.new_page(), list[str]()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Security Policy" in message.text else None)
    yield page
    assert not faults
