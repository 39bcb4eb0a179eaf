"""Checkpoints of each family in both layouts, written once a session; tests must not change the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from models.bundle import Bundle
from tests.reference.families import FAMILIES, Family, write_folder, write_single_file

Written = Callable[[Family, str], Path]
Loaded = Callable[[Path], Bundle]


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
