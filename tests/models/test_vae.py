"""The autoencoder against diffusers' `AutoencoderKL` with the same random weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.config import ConfigError, VAEConfig
from models.vae import VAE
from tests.reference.oracle import make_vae, relative_error

TOLERANCE = 1e-5  # relative L2, float32: what the order of additions may change
CONFIGS: dict[str, dict[str, Any]] = {
    "stable diffusion": {},
    "without quantisation": {"use_quant_conv": False, "use_post_quant_conv": False},
    "16 latent channels, factor 4": {
        "latent_channels": 16,
        "block_out_channels": (8, 16, 24),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "norm_num_groups": 8,
        "layers_per_block": 1,
    },
}


def pair(name: str) -> tuple[VAE, Any]:
    theirs = make_vae(**CONFIGS[name])
    ours = VAE(VAEConfig.from_dict(dict(theirs.config))).eval()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 72), (37, 51)])
@torch.no_grad()
def test_it_encodes_what_diffusers_encodes(name: str, height: int, width: int) -> None:
    ours, theirs = pair(name)
    pixels = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    mean, logvar = ours.encode(pixels)
    wanted = theirs.encode(pixels).latent_dist
    assert relative_error(mean, wanted.mean) <= TOLERANCE
    assert relative_error(logvar, wanted.logvar) <= TOLERANCE


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 9)])
@torch.no_grad()
def test_it_decodes_what_diffusers_decodes(name: str, height: int, width: int) -> None:
    ours, theirs = pair(name)
    channels = theirs.config.latent_channels
    latents = torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(1))
    pixels = ours.decode(latents)
    assert pixels.shape == (2, 3, height * ours.config.factor, width * ours.config.factor)
    assert relative_error(pixels, theirs.decode(latents).sample) <= TOLERANCE


@pytest.mark.parametrize("name", CONFIGS)
def test_its_keys_are_those_of_diffusers(name: str) -> None:
    theirs = make_vae(**CONFIGS[name])
    ours = VAE(VAEConfig.from_dict(dict(theirs.config)))
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: value.shape for key, value in theirs.state_dict().items()
    }


def test_every_parameter_can_be_trained() -> None:
    ours, _ = pair("stable diffusion")
    decoded, mean, logvar = ours.train()(torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    (decoded.square().mean() + mean.square().mean() + logvar.square().mean()).backward()
    still = [name for name, parameter in ours.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    # Softmax ignores what is added to all keys alike, so that the bias of a key has no effect.
    assert still in ([], [name for name in dict(ours.named_parameters()) if name.endswith("to_k.bias")])


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"shift_factor": 0.1}, "shift_factor"),
        ({"mid_block_add_attention": False}, "mid_block_add_attention"),
        ({"down_block_types": ["AttnDownEncoderBlock2D"]}, "down_block_types"),
        ({"up_block_types": ["UpDecoderBlock2D"] * 2}, "up_block_types"),
        ({"latents_mean": [0.0] * 3}, "latents_mean"),
        ({"latents_std": "wide"}, "latents_std"),
        ({"latent_channels": 0}, "latent_channels"),
    ],
)
def test_it_names_the_key_that_it_cannot_build(config: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        VAEConfig.from_dict(config)


@torch.no_grad()
def test_pixels_folded_into_channels_give_diffusers_the_same_network() -> None:
    theirs = make_vae(
        in_channels=12,
        out_channels=12,
        block_out_channels=(16, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
    )
    theirs.decoder.conv_out.padding_mode = "replicate"
    ours = VAE(VAEConfig.from_dict(dict(theirs.config))).eval()
    ours.load_state_dict(theirs.state_dict())
    pixels = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))

    mean, _ = ours.encode(pixels)

    assert ours.config.factor == 4
    assert mean.shape == (1, 4, 8, 12)
    wanted = theirs.encode(torch.nn.functional.pixel_unshuffle(pixels, 2)).latent_dist.mean
    assert relative_error(mean, wanted) <= TOLERANCE
    decoded = torch.nn.functional.pixel_shuffle(theirs.decode(mean).sample, 2)
    assert relative_error(ours.decode(mean), decoded) <= TOLERANCE


def test_channels_that_are_no_pixels_are_refused() -> None:
    with pytest.raises(ConfigError, match="in_channels must be 3, or 3 times a square"):
        VAEConfig.from_dict({"in_channels": 4, "out_channels": 3, "norm_num_groups": 8})
