"""The shapes of the embedded model's networks, as the `config.json` files of a diffusers folder."""

from __future__ import annotations

from typing import Any

IMAGE_SIZE = 256
LATENT_SIZE = 16
CONTEXT = 32  # tokens; the longest caption of the grammar has fewer

PATCH = 16  # pixels a side that are folded into channels

VAE: dict[str, Any] = {
    "_class_name": "AutoencoderKL",
    "in_channels": 3 * PATCH**2,
    "out_channels": 3 * PATCH**2,
    "latent_channels": 16,
    "block_out_channels": [160],
    "down_block_types": ["DownEncoderBlock2D"],
    "up_block_types": ["UpDecoderBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "sample_size": LATENT_SIZE,
    "scaling_factor": 1.0,
    "act_fn": "silu",
}

UNET: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": LATENT_SIZE,
    "in_channels": 16,
    "out_channels": 16,
    "block_out_channels": [96, 128, 192],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": 4,
    "cross_attention_dim": 192,
    "norm_num_groups": 16,
    "use_linear_projection": True,
    "act_fn": "silu",
}

TEXT: dict[str, Any] = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "max_position_embeddings": CONTEXT,
    "hidden_act": "quick_gelu",
    "projection_dim": 192,
}

SCHEDULER: dict[str, Any] = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
    "steps_offset": 1,
}
