"""Which checkpoints are offered, their defaults and words, from folders whose weights are zeros."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.services.catalogue import Catalogue
from app.services.errors import InvalidInput, ServiceError
from app.services.request import JobRequest
from models.checkpoint.facts import WEIGHTS
from tests.app.storing import settings
from tests.hollow import write_hollow

UNET: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "cross_attention_dim": 32,
    "sample_size": 24,
    "block_out_channels": [32],
    "down_block_types": ["CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D"],
}
VAE = {"latent_channels": 4, "norm_num_groups": 8, "block_out_channels": [8, 8, 8, 8]}
CARD = {
    "title": "Small landscapes",
    "defaults": {"steps": 12, "sampler": "heun", "guidance_scale": 4},
    "examples": ["pines by a lake"],
    "words": {"times of day": ["sunset", "clear night"], "sky": ["northern lights"]},
    "grammar_words": ["with", "a"],
}


def checkpoint(folder: Path, card: dict[str, Any] | None = None) -> Path:
    """Make a checkpoint folder of which all is there, but for what the weights are."""
    files = {
        "model_index.json": {"_class_name": "StableDiffusionPipeline"},
        "unet/config.json": UNET,
        "vae/config.json": VAE,
        "text_encoder/config.json": {"hidden_size": 32, "intermediate_size": 32},
        "scheduler/scheduler_config.json": {},
    }
    if card is not None:
        files["mezzotint.json"] = card
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return write_hollow(folder)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(settings(tmp_path, checkpoint=str(checkpoint(tmp_path / "small", CARD))))


def test_the_checkpoint_of_the_settings_is_the_default(catalogue: Catalogue) -> None:
    assert catalogue.default.name == "small"
    assert catalogue.get(None) == catalogue.get("small") == catalogue.default
    assert catalogue.default.title == "Small landscapes"


def test_defaults_are_the_cards_and_the_native_size(catalogue: Catalogue) -> None:
    defaults = catalogue.default_request()
    assert (defaults.steps, defaults.sampler, defaults.guidance_scale) == (12, "heun", 4.0)
    assert (defaults.width, defaults.height, defaults.checkpoint) == (192, 192, "small")


def test_a_request_is_completed_by_them(catalogue: Catalogue) -> None:
    (made,) = JobRequest(prompt="sunset", seed=3, steps=5).recipes(catalogue)
    assert (made.steps, made.sampler, made.width, made.checkpoint) == (5, "heun", 192, "small")


def test_an_unknown_name_is_refused_with_those_that_there_are(catalogue: Catalogue) -> None:
    with pytest.raises(InvalidInput, match="small") as refusal:
        JobRequest(prompt="sunset", checkpoint="../../etc").recipes(catalogue)
    assert refusal.value.field == "checkpoint"


def test_words_that_the_model_has_never_seen_are_named_once(catalogue: Catalogue) -> None:
    prompt = "Northern lights with a Dragon, a dragon and PINES; clear sunset!"
    assert catalogue.unknown_words(None, prompt) == ["dragon", "and"]


def test_a_checkpoint_that_lists_no_words_knows_them_all(tmp_path: Path) -> None:
    catalogue = Catalogue(settings(tmp_path, checkpoint=str(checkpoint(tmp_path / "large"))))
    assert catalogue.unknown_words("large", "a dragon") == []


def test_a_damaged_checkpoint_is_named_with_its_problem_and_stops_nothing_else(tmp_path: Path) -> None:
    broken = checkpoint(tmp_path / "broken")
    (broken / WEIGHTS[0]).write_bytes(b"short")
    catalogue = Catalogue(settings(tmp_path, checkpoint=str(broken)))
    assert "broken" not in {facts.name for facts in catalogue.checkpoints()}
    assert "truncated" in catalogue.problems[str(broken)]
    with pytest.raises(ServiceError, match="broken cannot be used") as refusal:
        JobRequest(prompt="sunset").recipes(catalogue)
    assert refusal.value.status == 503
    assert str(tmp_path) not in refusal.value.message


def test_a_size_that_the_checkpoint_cannot_make_is_refused_with_one_that_it_can(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "coarse", CARD)
    (path / "vae/config.json").write_text(json.dumps(VAE | {"block_out_channels": [8, 8, 8, 8, 8]}))
    write_hollow(path)
    coarse = Catalogue(settings(tmp_path, checkpoint=str(path)))
    asked = {"prompt": "a lake", "checkpoint": "coarse"}

    with pytest.raises(InvalidInput) as refusal:
        JobRequest.model_validate({**asked, "width": 200, "height": 256}).recipes(coarse)

    (error,) = refusal.value.errors
    assert error["field"] == "width"
    assert "multiple of 16" in error["message"]
    assert "192 would be" in error["message"]
    assert JobRequest.model_validate({**asked, "width": 192, "height": 256}).recipes(coarse)[0].width == 192


def test_text_alone_is_refused_for_a_checkpoint_that_is_made_for_inpainting(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "mender", CARD)
    (path / "unet/config.json").write_text(json.dumps(UNET | {"in_channels": 9}))
    write_hollow(path)
    mender = Catalogue(settings(tmp_path, checkpoint=str(path)))
    with pytest.raises(InvalidInput, match=r"'mender' is made for inpainting: send a picture") as refusal:
        JobRequest(prompt="a lake").recipes(mender)
    assert refusal.value.errors[0]["field"] == "checkpoint"
