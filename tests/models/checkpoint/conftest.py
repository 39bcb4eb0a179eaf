"""Checkpoints of each family in both layouts, written once a session; tests must not change the files."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.bundle import Bundle
from tests.reference.families import FAMILIES, Family, write_folder, write_single_file

Written = Callable[[Family, str], Path]
Loaded = Callable[[Path], Bundle]
Linked = Callable[[Path, Path], Path]
FORMATS = {torch.float32: "F32", torch.float16: "F16", torch.int32: "I32", torch.int64: "I64"}


def family(name: str) -> Family:
    """The family of this name."""
    return next(family for family in FAMILIES if family.name == name)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The path of a family's checkpoint in a layout, "folder" or "file"; written at first use."""
    base = tmp_path_factory.mktemp("families")

    def path_of(family: Family, layout: str) -> Path:
        if layout == "folder":
            path = base / family.name
            return path if path.exists() else write_folder(path, family)
        path = base / f"{family.name}.safetensors"
        if not path.exists():
            write_single_file(path, family)
            parameterization = "v" if family.prediction_type == "v_prediction" else "eps"
            path.with_suffix(".yaml").write_text(f'model:\n  params:\n    parameterization: "{parameterization}"\n')
        return path

    return path_of


@pytest.fixture
def linked() -> Iterator[Linked]:
    """Copy a folder whose weights lead to the same bytes: a test may remove or replace them, not write into them."""
    stamps: dict[Path, tuple[int, int]] = {}

    def link(source: str, target: str) -> None:
        if not source.endswith(".safetensors"):
            shutil.copy(source, target)
            return
        stamps[Path(source)] = _stamp(Path(source))
        os.link(source, target)

    yield lambda folder, copy: shutil.copytree(folder, copy, copy_function=link)
    assert stamps == {file: _stamp(file) for file in stamps}, "a test wrote into weights that others read"


def _stamp(file: Path) -> tuple[int, int]:
    facts = file.stat()
    return facts.st_size, facts.st_mtime_ns


def save_header(state: Mapping[str, Tensor], file: Path, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write a file of these tensors' shapes whose numbers are a hole: enough for whoever reads its header alone."""
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for key, tensor in state.items():
        begin, end = end, end + tensor.numel() * tensor.itemsize
        entries[key] = {"dtype": FORMATS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.truncate(8 + len(header) + end)
