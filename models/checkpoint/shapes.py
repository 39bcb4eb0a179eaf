"""The configurations of the networks in a single file, from the shapes of its tensors: the file states none.

What shapes cannot say (the number of heads, the scale of the latents) comes from the `.yaml` beside the file, else
from the family: Stable Diffusion 1 has 8 heads everywhere, 2 has heads of 64 channels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from models.checkpoint.headers import Slot
from models.config import ATTENTION_DOWN, ATTENTION_UP, PLAIN_DOWN, PLAIN_UP

Slots = Mapping[str, Slot]

HEADS = 8
HEAD_CHANNELS = 64
GROUPS = 32
VIT_H, VIT_H_USED = 1024, 23  # its width; of its 24 layers Stable Diffusion 2 leaves out the last
SETTING = re.compile(r"^\s*([a-z_]+)\s*:\s*[\"']?([\w.+-]+)[\"']?\s*(?:#.*)?$", re.MULTILINE)
SETTINGS = ("parameterization", "num_heads", "num_head_channels", "scale_factor", "linear_start", "linear_end")
MAX_YAML = 2**20  # bytes


def read_yaml(file: Path) -> dict[str, str]:
    """Return the settings that matter of the original configuration; the first of each name, none without a file."""
    try:
        if file.stat().st_size > MAX_YAML:
            return {}
        text = file.read_text("utf-8", errors="replace")
    except OSError:
        return {}
    found: dict[str, str] = {}
    for name, value in SETTING.findall(text):
        if name in SETTINGS:
            found.setdefault(name, value)
    return found


def unet_config(slots: Slots, settings: Mapping[str, str]) -> dict[str, Any]:
    """Describe the U-Net (its prefix taken off) as a `config.json` does. Raises `KeyError` naming an absent tensor."""
    halvings = _numbers(slots, r"input_blocks\.(\d+)\.0\.op\.weight")
    blocks = _numbers(slots, r"input_blocks\.(\d+)\.0\.in_layers\.2\.weight")
    levels = [
        [number for number in blocks if low < number < high]
        for low, high in zip([0, *halvings], [*halvings, max(blocks, default=0) + 1], strict=True)
    ]
    if not all(levels):
        raise KeyError("input_blocks.1.0.in_layers.2.weight")
    channels = [_shape(slots, f"input_blocks.{level[0]}.0.in_layers.2.weight")[0] for level in levels]
    attends = [f"input_blocks.{level[0]}.1.proj_in.weight" in slots for level in levels]
    middle = "middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    linear = len(_shape(slots, "middle_block.1.proj_in.weight")) == 2
    return {
        "in_channels": _shape(slots, "input_blocks.0.0.weight")[1],
        "out_channels": _shape(slots, "out.2.weight")[0],
        "block_out_channels": channels,
        "down_block_types": [ATTENTION_DOWN if has else PLAIN_DOWN for has in attends],
        "up_block_types": [ATTENTION_UP if has else PLAIN_UP for has in reversed(attends)],
        "layers_per_block": [len(level) for level in levels],
        "transformer_layers_per_block": len(
            _numbers(slots, r"middle_block\.1\.transformer_blocks\.(\d+)\.norm1\.weight")
        ),
        "cross_attention_dim": _shape(slots, middle)[1],
        "use_linear_projection": linear,
        "upcast_attention": linear,
        "attention_head_dim": _heads(channels, settings, linear=linear),
        "norm_num_groups": GROUPS,
        "time_embedding_dim": _shape(slots, "time_embed.0.weight")[0],
    }


def vae_config(slots: Slots, settings: Mapping[str, str]) -> dict[str, Any]:
    """Describe the VAE (its prefix taken off) as a `config.json` does. Raises `KeyError` naming an absent tensor."""
    levels = _numbers(slots, r"encoder\.down\.(\d+)\.block\.0\.conv1\.weight")
    if not levels:
        raise KeyError("encoder.down.0.block.0.conv1.weight")
    return {
        "in_channels": _shape(slots, "encoder.conv_in.weight")[1],
        "out_channels": _shape(slots, "decoder.conv_out.weight")[0],
        "latent_channels": _shape(slots, "decoder.conv_in.weight")[1],
        "block_out_channels": [_shape(slots, f"encoder.down.{level}.block.0.conv1.weight")[0] for level in levels],
        "down_block_types": ["DownEncoderBlock2D"] * len(levels),
        "up_block_types": ["UpDecoderBlock2D"] * len(levels),
        "layers_per_block": len(_numbers(slots, r"encoder\.down\.0\.block\.(\d+)\.conv1\.weight")),
        "norm_num_groups": GROUPS,
        "use_quant_conv": "quant_conv.weight" in slots,
        "use_post_quant_conv": "post_quant_conv.weight" in slots,
        "scaling_factor": float(settings.get("scale_factor", 0.18215)),
    }


def clip_config(slots: Slots) -> dict[str, Any]:
    """Describe CLIP-L in transformers' names. Raises `KeyError` naming an absent tensor."""
    vocabulary, width = _shape(slots, "embeddings.token_embedding.weight")
    return _text(
        vocabulary,
        width,
        layers=len(_numbers(slots, r"encoder\.layers\.(\d+)\.mlp\.fc1\.weight")),
        hidden=_shape(slots, "encoder.layers.0.mlp.fc1.weight")[0],
        positions=_shape(slots, "embeddings.position_embedding.weight")[0],
    ) | {"hidden_act": "quick_gelu", "pad_token_id": 49407}


def open_clip_config(slots: Slots) -> dict[str, Any]:
    """Describe ViT-H's text tower in open_clip's names, without its last layer, which Stable Diffusion 2 leaves out.

    Files that were folders once do not have that layer any more.
    """
    vocabulary, width = _shape(slots, "token_embedding.weight")
    layers = len(_numbers(slots, r"transformer\.resblocks\.(\d+)\.mlp\.c_fc\.weight"))
    return _text(
        vocabulary,
        width,
        layers=VIT_H_USED if width == VIT_H else layers - 1,
        hidden=_shape(slots, "transformer.resblocks.0.mlp.c_fc.weight")[0],
        positions=_shape(slots, "positional_embedding")[0],
    ) | {"hidden_act": "gelu", "pad_token_id": 0}


def _text(vocabulary: int, width: int, *, layers: int, hidden: int, positions: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": max(width // HEAD_CHANNELS, 1),
        "max_position_embeddings": positions,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
    }


def _heads(channels: Iterable[int], settings: Mapping[str, str], *, linear: bool) -> list[int]:
    if "num_head_channels" not in settings and ("num_heads" in settings or not linear):
        return [int(settings.get("num_heads", HEADS)) for _ in channels]
    size = int(settings.get("num_head_channels", HEAD_CHANNELS))
    return [max(count // size, 1) for count in channels]


def _shape(slots: Slots, key: str) -> tuple[int, ...]:
    return slots[key].shape


def _numbers(slots: Iterable[str], pattern: str) -> list[int]:
    found = (re.fullmatch(pattern, key) for key in slots)
    return sorted({int(match[1]) for match in found if match})
