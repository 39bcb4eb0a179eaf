"""Checkpoint folders of each kind, written once a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from models.bundle import Bundle
from models.checkpoint.loading import load
from tests.reference.oracle import KINDS, write_checkpoint


@pytest.fixture(scope="session")
def loaded() -> Callable[[Path], Bundle]:
    """The bundle of a checkpoint that tests share, loaded once in float32; tests must not change it."""
    return cache(load)


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of the checkpoint of a kind, written at first use; tests must not change the files."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def checkpoint(name: str) -> Path:
        path = folder / name
        return path if path.exists() else write_checkpoint(path, next(kind for kind in KINDS if kind.name == name))

    return checkpoint
