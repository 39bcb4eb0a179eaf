"""The tensors that a checkpoint must have are those of the networks that are built of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import models
from models.checkpoint import wanted
from models.checkpoint.facts import CheckpointError, inspect, layout_of
from models.checkpoint.loading import load
from models.checkpoint.towers import _open_clip
from models.config import UNetConfig, VAEConfig
from models.text import build_text_model
from models.unet import UNet
from models.vae import VAE
from tests.models.checkpoint.conftest import Linked, Written, family

VAE_LEVELS = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
VIT_H = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16}
EMBEDDED = Path(next(iter(models.__path__))) / "embedded"


def same(shapes: Iterator[tuple[str, tuple[int, ...]]], build: Callable[[], nn.Module]) -> bool:
    """Whether a network has exactly these tensors, each named once."""
    with torch.device("meta"):
        built = {key: tuple(tensor.shape) for key, tensor in build().state_dict().items()}
    named = list(shapes)
    return dict(named) == built and len(named) == len(built)


@pytest.mark.parametrize(
    "changes",
    [
        {"cross_attention_dim": 768},
        {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True},
        {"in_channels": 9},
        {"layers_per_block": [1, 3, 2, 1], "transformer_layers_per_block": [1, 2, 3, 1]},
    ],
    ids=["Stable Diffusion 1", "Stable Diffusion 2", "inpainting", "uneven"],
)
def test_a_unet_has_the_tensors_that_are_asked_for(changes: dict[str, Any]) -> None:
    config = UNetConfig.from_dict(changes)
    assert same(wanted.unet(config), lambda: UNet(config))


@pytest.mark.parametrize("has_quant", [True, False])
def test_an_autoencoder_has_the_tensors_that_are_asked_for(has_quant: bool) -> None:
    quant = dict.fromkeys(("use_quant_conv", "use_post_quant_conv"), has_quant)
    config = VAEConfig.from_dict(
        {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, **VAE_LEVELS} | quant
    )
    assert same(wanted.vae(config), lambda: VAE(config))


def test_text_encoders_have_the_tensors_that_are_asked_for() -> None:
    full = VIT_H | {"vocab_size": 49408, "max_position_embeddings": 77}
    assert same(wanted.clip(VIT_H), lambda: build_text_model(VIT_H))
    assert same(wanted.clip({}), lambda: build_text_model({}))
    assert same(wanted.open_clip(full), lambda: _open_clip(full))


def test_the_embedded_networks_have_the_tensors_that_are_asked_for() -> None:
    files = layout_of(EMBEDDED)
    assert same(wanted.unet(files.unet), lambda: UNet(files.unet))
    assert same(wanted.vae(files.vae), lambda: VAE(files.vae))


@pytest.fixture
def copied(written: Written, linked: Linked, tmp_path: Path) -> Path:
    return linked(written(family("sd1"), "folder"), tmp_path / "dreams")


def refusal(path: Path) -> str:
    """The sentence with which `inspect` and `load` both refuse a checkpoint."""
    with pytest.raises(CheckpointError) as seen:
        inspect(path)
    with pytest.raises(CheckpointError) as loaded:
        load(path)
    assert str(loaded.value) == str(seen.value)
    return str(seen.value)


@pytest.mark.parametrize(
    ("part", "stem", "key"),
    [
        ("unet", "diffusion_pytorch_model", "up_blocks.1.upsamplers.0.conv.weight"),
        ("vae", "diffusion_pytorch_model", "quant_conv.weight"),
        ("text_encoder", "model", "encoder.layers.1.mlp.fc2.weight"),
    ],
)
def test_weights_of_another_folder_are_found_out_before_they_are_loaded(
    copied: Path, part: str, stem: str, key: str
) -> None:
    file = copied / part / f"{stem}.safetensors"
    state = load_file(file)
    file.unlink()
    save_file(state | {key: state[key][:-1].clone()}, file)
    message = refusal(copied)
    assert f"{part}/{stem}.safetensors does not fit the config.json beside it" in message
    assert f"{key} is " in message
    assert message.endswith("take both from one checkpoint")


@pytest.mark.parametrize("value", [0, "many", 1.5, True])
def test_a_text_encoder_of_no_shape_is_found_out_before_it_is_loaded(copied: Path, value: object) -> None:
    config = json.loads((copied / "text_encoder/config.json").read_text())
    (copied / "text_encoder/config.json").write_text(json.dumps(config | {"intermediate_size": value}))
    assert "intermediate_size must be a positive whole number" in refusal(copied)


def test_layers_without_end_are_not_counted_to_their_end(copied: Path) -> None:
    config = json.loads((copied / "unet/config.json").read_text())
    config |= {"layers_per_block": 64, "transformer_layers_per_block": 64}  # a million tensors
    (copied / "unet/config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"lacks .* and \d+ more"):
        inspect(copied)
