"""The U-Net against diffusers' `UNet2DConditionModel` with the same random weights."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from models.config import ConfigError, UNetConfig
from models.unet import UNet
from tests.reference.oracle import make_unet, relative_error

TOLERANCE = 1e-5  # relative L2, float32: what the order of additions may change
SD1 = {"attention_head_dim": 4}
SD2 = {"attention_head_dim": [2, 4, 8], "use_linear_projection": True}
XL_DOWN = ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D")
XL_UP = ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")
CONFIGS: dict[str, dict[str, Any]] = {
    "sd1": SD1,
    "sd1 inpainting": SD1 | {"in_channels": 9},
    "sd2": SD2,
    "sd2 inpainting": SD2 | {"in_channels": 9},
    "blocks of other kinds": {"down_block_types": XL_DOWN, "up_block_types": XL_UP, "attention_head_dim": 2},
    "several transformers": SD2 | {"transformer_layers_per_block": [1, 2, 3]},
    "layers by level": SD1 | {"layers_per_block": (1, 2, 3)},
    "other time embedding": SD1 | {"flip_sin_to_cos": False, "freq_shift": 1, "time_embedding_dim": 48},
    "odd time width": {"block_out_channels": (15, 30, 30), "norm_num_groups": 5, "attention_head_dim": 3},
    "centred input": SD1 | {"center_input_sample": True},
    "16 latent channels": SD1 | {"in_channels": 16, "out_channels": 16, "norm_eps": 1e-6},
}


@cache
def pair(name: str) -> tuple[UNet, Any]:
    """Our network and diffusers', with equal weights. They are made once, and tests must not change them."""
    theirs = make_unet(**CONFIGS[name])
    ours = UNet(UNetConfig.from_dict(dict(theirs.config))).eval()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def inputs(channels: int, height: int = 8, width: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    sample = torch.randn(3, channels, height, width, generator=generator)
    return sample, torch.tensor([0.0, 500.25, 999.0]), torch.randn(3, 7, 24, generator=generator)


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_it_predicts_what_diffusers_predicts(name: str) -> None:
    ours, theirs = pair(name)
    sample, timestep, context = inputs(theirs.config.in_channels)
    prediction = ours(sample, timestep, context)
    assert relative_error(prediction, theirs(sample, timestep, context).sample) <= TOLERANCE


@pytest.mark.parametrize(("height", "width"), [(7, 9), (13, 8), (5, 5), (1, 3), (12, 10)])
@torch.no_grad()
def test_it_takes_latents_of_odd_sizes(height: int, width: int) -> None:
    ours, theirs = pair("sd1")
    sample, timestep, context = inputs(4, height, width)
    prediction = ours(sample, timestep, context)
    assert prediction.shape == sample.shape
    assert relative_error(prediction, theirs(sample, timestep, context).sample) <= TOLERANCE


@pytest.mark.parametrize("name", CONFIGS)
def test_its_keys_are_those_of_diffusers(name: str) -> None:
    ours, theirs = pair(name)
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: value.shape for key, value in theirs.state_dict().items()
    }


@torch.no_grad()
def test_it_does_not_depend_on_the_layout_of_memory() -> None:
    ours = deepcopy(pair("sd2")[0])
    sample, timestep, context = inputs(4)
    plain = ours(sample, timestep, context)
    ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert relative_error(ours(sample.to(memory_format=torch.channels_last), timestep, context), plain) <= TOLERANCE


def test_every_parameter_can_be_trained() -> None:
    ours = deepcopy(pair("sd1")[0])
    ours.train()(*inputs(4)).square().mean().backward()
    still = [name for name, parameter in ours.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert still == []


def test_a_config_without_keys_is_stable_diffusions() -> None:
    config = UNetConfig.from_dict({"cross_attention_dim": 768})
    assert config.block_out_channels == (320, 640, 1280, 1280)
    assert config.heads == (8, 8, 8, 8)
    assert config.time_embedding_dim == 1280
    assert not config.use_linear_projection


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"addition_embed_type": "text_time"}, "addition_embed_type"),
        ({"class_embed_type": "timestep"}, "class_embed_type"),
        ({"down_block_types": ["AttnDownBlock2D"] * 4}, "down_block_types"),
        ({"up_block_types": ["UpBlock2D"]}, "up_block_types"),
        ({"block_out_channels": [320, 650, 1280, 1280]}, "norm_num_groups"),
        ({"block_out_channels": "wide"}, "block_out_channels"),
        ({"attention_head_dim": [8, 8]}, "attention_head_dim"),
        ({"attention_head_dim": 7}, "attention_head_dim"),
        ({"in_channels": "four"}, "in_channels"),
        ({"norm_eps": "small"}, "norm_eps"),
        ({"cross_attention_dim": -1}, "cross_attention_dim"),
        ({"sample_size": "large"}, "sample_size"),
    ],
)
def test_it_names_the_key_that_it_cannot_build(config: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        UNetConfig.from_dict(config)
