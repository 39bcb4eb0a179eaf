"""A repository of the hub, and a small hub on this machine that serves it."""

from __future__ import annotations

import time
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.small_hub import SmallHub
from tests.app.test_services_catalogue import CARD, checkpoint

EXTRA = {
    "README.md": b"read me",
    "unet/diffusion_pytorch_model.bin": b"pickle",
    "unet/diffusion_pytorch_model.fp16.safetensors": b"half",
    "unet/diffusion_flax_model.msgpack": b"flax",
    "safety_checker/model.safetensors": b"safety",
    "one-pruned.safetensors": b"single",
    "pipeline.py": b"raise SystemExit",
    "tokenizer/merges.txt": b"#version",
    "tokenizer/evil.py": b"raise SystemExit",
}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub not wait before it tries again, read small pieces, and go through no proxy."""
    import huggingface_hub.constants

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    hasty = types.SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})  # noqa: ARG005
    monkeypatch.setattr("huggingface_hub.file_download.time", hasty)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 4096)


@pytest.fixture
def repository_files(tmp_path: Path) -> dict[str, bytes]:
    """A whole checkpoint, and beside it all that repositories hold and we do not want."""
    folder = checkpoint(tmp_path / "source", CARD)
    found = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    return found | EXTRA


@pytest.fixture
def served(repository_files: dict[str, bytes], patient: None) -> Iterator[SmallHub]:  # noqa: ARG001
    with SmallHub(repository_files) as server:
        yield server
