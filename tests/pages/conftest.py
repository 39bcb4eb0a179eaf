"""The server of the API's tests, with a checkpoint that knows few words, and a real browser in front of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from app.settings import Settings
from tests.api.conftest import alice, app, bare_checkpoint, build, charlie, decode_once, engine, look_once
from tests.app.storing import migrated
from tests.chromium import shared
from tests.pages.easel import easel, page, stand

__all__ = ["alice", "app", "bare_checkpoint", "build", "charlie", "decode_once", "easel", "engine", "look_once", "page"]
__all__ += ["stand"]

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


@pytest.fixture
def chromium() -> Browser:
    """The real browser that tests share."""
    return shared.get()
