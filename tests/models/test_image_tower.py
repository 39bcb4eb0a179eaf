"""The image tower: loaded beside a checkpoint or refused in a sentence, trained to tell pictures from their twins."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import models
from models.bundle import Bundle
from models.checkpoint.headers import CheckpointError
from models.checkpoint.image_tower import image_tower_of
from models.config import ConfigError
from models.image_tower import ImageTower, ImageTowerConfig
from models.train import pairs, tower
from models.train.design import SMALL

TINY_CONFIG = ImageTowerConfig(text_width=32, side=16, widths=(8, 8), hidden=16, embedding=8)


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder with an image tower of random weights."""
    torch.manual_seed(0)
    tower.save(ImageTower(TINY_CONFIG), tmp_path / "image_tower")
    return tmp_path


def change(folder: Path, **values: Any) -> None:
    file = folder / "image_tower/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@torch.no_grad()
def test_it_is_loaded_as_it_was_saved(beside: Path) -> None:
    torch.manual_seed(0)
    wanted = ImageTower(TINY_CONFIG).half().float()
    pixels, states = torch.rand(1, 3, 40, 24) * 2 - 1, torch.randn(5, 32)

    found = image_tower_of(beside, 32)

    assert found is not None
    assert found.match(pixels, states) == pytest.approx(wanted.match(pixels, states), abs=1e-6)
    assert 0 < found.match(pixels, states) < 1


def test_a_checkpoint_without_one_has_none(tmp_path: Path) -> None:
    assert image_tower_of(tmp_path, 32) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"side": 17}, "side 17 must be divisible"),
        ({"widths": [8, 12]}, "widths [8, 12]"),
        ({"widths": []}, "widths must be whole numbers"),
        ({"hidden": "many"}, "hidden must be whole numbers"),
        ({"embedding": True}, "embedding must be whole numbers"),
        ({"side": 2**20}, "side must be whole numbers from 1 to 4096"),
        ({"text_width": 48}, "text_width of 48"),
        ({"hidden": 24}, "does not fit the config.json"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_key(beside: Path, values: dict[str, Any], said: str) -> None:
    change(beside, **values)

    with pytest.raises(CheckpointError) as refused:
        image_tower_of(beside, 32)

    assert said in str(refused.value)
    assert "delete the folder" in str(refused.value)


def test_a_configuration_must_say_how_wide_the_text_is() -> None:
    with pytest.raises(ConfigError, match="text_width is missing"):
        ImageTowerConfig.from_dict({"side": 16})


def test_weights_that_are_no_numbers_are_refused(beside: Path) -> None:
    file = beside / "image_tower/model.safetensors"
    tensors = load_file(file)
    tensors["bias"][0] = torch.nan
    save_file(tensors, file)

    with pytest.raises(CheckpointError, match="bias"):
        image_tower_of(beside, 32)


def test_training_brings_pictures_to_their_own_captions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few pairs, learned by heart: each picture is then nearer to its own caption than to its twin's."""
    monkeypatch.setattr(pairs, "PART", 4)
    monkeypatch.setattr(tower, "RATE", 3e-3)
    monkeypatch.setattr(tower, "ImageTowerConfig", partial(ImageTowerConfig, side=32, widths=(16, 32, 64)))
    embedded = Path(models.__file__).parent / "embedded"
    shutil.copytree(embedded / "text_encoder", tmp_path / "text_encoder")

    found = tower.train(tmp_path, SMALL, pairs=8, passes=80)

    known = tower.material(tmp_path, SMALL, tower.FIRST, 8, 1, found.config.side)
    assert tower.accuracy(found, known) > 0.9
    own, twins = tower.alike(found, known)
    tower.calibrate(found, known)
    with torch.no_grad():
        right, wrong = ((found.scale * cosines + found.bias).sigmoid() for cosines in (own, twins))
    assert float(right.mean() - (own > twins).float().mean()) == pytest.approx(0, abs=0.15)
    assert float(right.mean() + wrong.mean()) == pytest.approx(1, abs=0.05)
    assert image_tower_of(tmp_path, 192) is not None


def test_a_bundle_without_a_tower_or_a_prompt_tells_nothing(loaded: Any) -> None:
    bundle: Bundle = loaded(Path(models.__file__).parent / "embedded")

    assert bundle.match("  ", torch.zeros(1, 3, 64, 64)) is None
