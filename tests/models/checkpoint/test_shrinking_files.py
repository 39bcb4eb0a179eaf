"""Files that go, or become shorter, while they are loaded: an error that names them, and nothing worse."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from models.checkpoint import loading, weights
from models.checkpoint.facts import CheckpointError
from models.checkpoint.loading import load
from tests.models.checkpoint.conftest import Written, family


@pytest.mark.parametrize("end", [None, 0, 2**20])
def test_a_file_that_goes_while_it_is_loaded_is_named(
    tmp_path: Path, written: Written, monkeypatch: pytest.MonkeyPatch, end: int | None
) -> None:
    file = Path(shutil.copy(written(family("sd1"), "file"), tmp_path / "going.safetensors"))

    def check_and_go(_files: object) -> None:
        file.unlink() if end is None else os.truncate(file, end)

    monkeypatch.setattr(loading, "check", check_and_go)
    with pytest.raises(CheckpointError, match=rf"^{file} (is not there|was changed while it was loaded); "):
        load(file)


def test_a_file_that_is_cut_off_while_it_is_read_is_named(
    tmp_path: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Had it been mapped, the process would end there."""
    file = Path(shutil.copy(written(family("sd1"), "file"), tmp_path / "shrinking.safetensors"))

    def cut_off(_copied: torch.Tensor) -> bool:
        os.truncate(file, 2**16)
        return True

    monkeypatch.setattr(weights, "_is_finite", cut_off)
    with pytest.raises(CheckpointError, match=rf"^{file} was changed while it was loaded; try it again"):
        load(file)
