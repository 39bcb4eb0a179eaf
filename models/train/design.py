"""What is trained: the world that a model knows, and the shapes of its networks as a diffusers folder's `config.json`s.

`small` is what one CPU core trains in hours, `large` what a GPU trains in half an hour, `artwork` is
`large` with more to know.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """`world` is the number of the world (`scene.py`), `context` the tokens of the longest caption."""

    name: str
    world: int
    context: int
    image_size: int
    vae: dict[str, Any]
    unet: dict[str, Any]
    text: dict[str, Any]

    @property
    def patch(self) -> int:
        """Pixels a side that the autoencoder folds into channels; 1 if it folds none."""
        return int((self.vae["in_channels"] // 3) ** 0.5)


def design_named(name: str) -> Design:
    return DESIGNS[name]


def _vae(**changes: Any) -> dict[str, Any]:
    return {
        "_class_name": "AutoencoderKL",
        "in_channels": 3,
        "out_channels": 3,
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "scaling_factor": 1.0,
        "act_fn": "silu",
    } | changes


def _unet(**changes: Any) -> dict[str, Any]:
    return {
        "_class_name": "UNet2DConditionModel",
        "sample_size": 16,
        "layers_per_block": 1,
        "norm_num_groups": 16,
        "use_linear_projection": True,
        "act_fn": "silu",
    } | changes


def _text(width: int, heads: int, context: int) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": 4,
        "num_attention_heads": heads,
        "max_position_embeddings": context,
        "hidden_act": "quick_gelu",
        "projection_dim": width,
    }


SMALL = Design(
    name="small",
    world=1,
    context=40,
    image_size=256,
    vae=_vae(
        in_channels=3 * 16**2,
        out_channels=3 * 16**2,
        latent_channels=48,
        block_out_channels=[160],
        down_block_types=["DownEncoderBlock2D"],
        up_block_types=["UpDecoderBlock2D"],
        sample_size=16,
    ),
    unet=_unet(
        in_channels=48,
        out_channels=48,
        block_out_channels=[96, 128, 192],
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        attention_head_dim=4,
        cross_attention_dim=192,
    ),
    text=_text(192, 3, 40),
)
LARGE = Design(
    name="large",
    world=2,
    context=48,
    image_size=256,
    vae=_vae(
        latent_channels=24,
        block_out_channels=[32, 32, 64, 96, 128],
        down_block_types=["DownEncoderBlock2D"] * 5,
        up_block_types=["UpDecoderBlock2D"] * 5,
        sample_size=256,
    ),
    unet=_unet(
        in_channels=24,
        out_channels=24,
        block_out_channels=[112, 176, 240],
        down_block_types=["CrossAttnDownBlock2D"] * 3,
        up_block_types=["CrossAttnUpBlock2D"] * 3,
        attention_head_dim=4,
        cross_attention_dim=256,
    ),
    text=_text(256, 4, 48),
)
ARTWORK = replace(LARGE, name="artwork", world=3)  # whose artwork must be fetched first
TINY = Design(  # the large one in miniature, for tests: everything happens, nothing is learned
    name="tiny",
    world=2,
    context=48,
    image_size=64,
    vae=_vae(
        latent_channels=8,
        block_out_channels=[8, 16],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        sample_size=64,
        norm_num_groups=4,
    ),
    unet=_unet(
        in_channels=8,
        out_channels=8,
        sample_size=32,
        block_out_channels=[16, 32],
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
        attention_head_dim=2,
        cross_attention_dim=32,
    ),
    text=_text(32, 2, 48),
)
DESIGNS = {design.name: design for design in (SMALL, LARGE, ARTWORK, TINY)}

SCHEDULER: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",  # which is DDIM; but diffusers' DDIM begins at 0, its Euler as we do
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "steps_offset": 1,
}
