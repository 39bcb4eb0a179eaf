"""The oracle: small random networks of diffusers and transformers, and checkpoint folders that they write."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.torchvision_guard import declare_missing_operators

declare_missing_operators()

SD1_TEXT = {"hidden_act": "quick_gelu", "bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
SD2_TEXT = {"hidden_act": "gelu", "bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 0}


@dataclass(frozen=True)
class Kind:
    """What tells one small checkpoint from another."""

    name: str
    unet: dict[str, Any]
    text: dict[str, Any]
    prediction_type: str = "epsilon"


KINDS = (
    Kind("sd1", {"attention_head_dim": 4, "in_channels": 4}, SD1_TEXT),
    Kind("sd1-inpainting", {"attention_head_dim": 4, "in_channels": 9}, SD1_TEXT),
    Kind("sd2", {"attention_head_dim": [2, 4, 8], "use_linear_projection": True, "in_channels": 4}, SD2_TEXT),
    Kind(
        "sd2-v",
        {"attention_head_dim": [2, 4, 8], "use_linear_projection": True, "in_channels": 4},
        SD2_TEXT,
        prediction_type="v_prediction",
    ),
    Kind(
        "sd2-inpainting", {"attention_head_dim": [2, 4, 8], "use_linear_projection": True, "in_channels": 9}, SD2_TEXT
    ),
)


def randomize(network: nn.Module) -> nn.Module:
    """Draw every parameter, norms and biases too, so that no key can hide behind a zero or a one."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
        spread = 0.1 if parameter.ndim == 1 or "embedding" in name else fan_in**-0.5
        centre = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
        parameter.data = centre + spread * torch.randn(parameter.shape, generator=generator)
    return network.eval()


def relative_error(found: Tensor, wanted: Tensor) -> float:
    """The L2 norm of the difference over that of `wanted`."""
    return float((found - wanted).norm() / wanted.norm())


def make_unet(**config: Any) -> Any:
    """A small `UNet2DConditionModel` of Stable Diffusion's shape: plain at the bottom, attention elsewhere."""
    from diffusers import UNet2DConditionModel

    shape: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (16, 32, 32),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "norm_num_groups": 8,
        "layers_per_block": 2,
        "cross_attention_dim": 24,
    }
    return randomize(UNet2DConditionModel(**shape | config))


def make_vae(**config: Any) -> Any:
    """A small `AutoencoderKL` with a factor of 8."""
    from diffusers import AutoencoderKL

    shape: dict[str, Any] = {
        "block_out_channels": (8, 8, 16, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "norm_num_groups": 4,
        "layers_per_block": 2,
        "sample_size": 64,
    }
    return randomize(AutoencoderKL(**shape | config))


def make_text_encoder(**config: Any) -> Any:
    """A small `CLIPTextModel` with CLIP's whole vocabulary."""
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    shape: dict[str, Any] = {
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
    }
    return randomize(CLIPTextModel(CLIPTextConfig(**shape | config)))


def write_checkpoint(path: Path, kind: Kind) -> Path:
    """Write a whole pipeline folder of this kind."""
    from diffusers import DDIMScheduler

    make_unet(**kind.unet).save_pretrained(path / "unet")
    make_vae().save_pretrained(path / "vae")
    make_text_encoder(**kind.text).save_pretrained(path / "text_encoder")
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=kind.prediction_type,
    ).save_pretrained(path / "scheduler")
    (path / "tokenizer").mkdir()
    pad = "!" if kind.text is SD2_TEXT else "<|endoftext|>"
    (path / "tokenizer/tokenizer_config.json").write_text(json.dumps({"pad_token": pad}))
    (path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    return path
