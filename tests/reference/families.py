"""Small random checkpoints of each family, written by diffusers and transformers as a folder and as a single file.

The single file's names are made here by closed formulas, apart from the product's tables; a test holds them to
diffusers' own converter. Widths are such that the family's rules hold: 32 norm groups, 8 heads or heads of 64.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from models import bpe
from tests.reference.oracle import SD1_TEXT, SD2_TEXT, make_text_encoder, make_unet, make_vae

LAYERS = 2  # residual blocks in a level of the U-Net and of the VAE's encoder
LEVELS = 3  # of the U-Net
VAE_LEVELS = 4
WIDTH = 64  # of the text encoder: one head of 64, as the product takes CLIP-L's and ViT-H's to be
SIDE = 64  # pixels
State = dict[str, Tensor]


@dataclass(frozen=True)
class Family:
    """One kind of checkpoint that people own."""

    name: str
    is_second: bool
    in_channels: int = 4
    prediction_type: str = "epsilon"

    @property
    def unet(self) -> dict[str, Any]:
        first = {"block_out_channels": (32, 64, 64), "attention_head_dim": 8}
        second = {
            "block_out_channels": (64, 64, 128),
            "attention_head_dim": [1, 1, 2],
            "use_linear_projection": True,
        }
        shared = {"in_channels": self.in_channels, "cross_attention_dim": WIDTH, "norm_num_groups": 32}
        return shared | (second if self.is_second else first)

    @property
    def text(self) -> dict[str, Any]:
        own = SD2_TEXT if self.is_second else SD1_TEXT
        return own | {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_attention_heads": 1}


FAMILIES = (
    Family("sd1", is_second=False),
    Family("sd1-inpainting", is_second=False, in_channels=9),
    Family("sd2-base", is_second=True),
    Family("sd2-v", is_second=True, prediction_type="v_prediction"),
    Family("sd2-inpainting", is_second=True, in_channels=9),
)


def networks(family: Family) -> dict[str, Any]:
    """The three networks. They are made once, and tests must not change them."""
    own = replace(family, name="", prediction_type="epsilon")  # which change nothing of them
    return {"unet": _unet(own), "vae": _vae(), "text_encoder": _text_encoder(replace(own, in_channels=4))}


@cache
def _unet(family: Family) -> Any:
    return make_unet(**family.unet)


@cache
def _vae() -> Any:
    return make_vae(block_out_channels=(32, 32, 64, 64), norm_num_groups=32)


@cache
def _text_encoder(family: Family) -> Any:
    return make_text_encoder(**family.text)


def write_folder(path: Path, family: Family) -> Path:
    """Write the checkpoint as diffusers does, with CLIP's tokenizer in the form of 2022."""
    from diffusers import PNDMScheduler

    for name, network in networks(family).items():
        network.save_pretrained(path / name)
    PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=family.prediction_type,
    ).save_pretrained(path / "scheduler")
    write_tokenizer(path / "tokenizer", pad="!" if family.is_second else "<|endoftext|>")
    (path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    return path


def write_tokenizer(folder: Path, *, pad: str) -> None:
    """Write CLIP's vocabulary as `vocab.json` and `merges.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = _vocabulary()
    (folder / "vocab.json").write_text(vocabulary)
    (folder / "merges.txt").write_text(merges)
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": pad, "model_max_length": 77}))


@cache
def _vocabulary() -> tuple[str, str]:
    merges = bpe.read_merges()
    names = [*bpe.signs(), *(left + right for left, right in merges), "<|startoftext|>", "<|endoftext|>"]
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    return json.dumps({name: index for index, name in enumerate(names)}), "\n".join(lines) + "\n"


def original(family: Family) -> State:
    """Return the same tensors under the names of the original single file, with what else lies there."""
    parts = networks(family)
    state = {f"model.diffusion_model.{original_unet_key(key)}": t for key, t in parts["unet"].state_dict().items()}
    for key, tensor in parts["vae"].state_dict().items():
        is_attention = ".attentions." in key and tensor.ndim == 2
        state[f"first_stage_model.{original_vae_key(key)}"] = tensor[:, :, None, None] if is_attention else tensor
    text = parts["text_encoder"].state_dict()
    state |= open_clip_text(text) if family.is_second else clip_text(text)
    extras = {
        "betas": torch.linspace(0, 1, 4),
        "alphas_cumprod": torch.linspace(1, 0, 4),
        "logvar": torch.zeros(4),
        "model_ema.decay": torch.tensor(0.999),
        "model_ema.diffusion_modelout2bias": torch.zeros(4),
    }
    return {key: tensor.contiguous() for key, tensor in (state | extras).items()}


def clip_text(text: Mapping[str, Tensor]) -> State:
    """CLIP-L as Stable Diffusion 1 has it."""
    prefix = "cond_stage_model.transformer.text_model."
    state = {prefix + key: tensor for key, tensor in text.items()}
    return state | {f"{prefix}embeddings.position_ids": torch.arange(77)[None]}


def open_clip_text(text: Mapping[str, Tensor]) -> State:
    """ViT-H as Stable Diffusion 2 has it: fused projections, a last layer that is not used, a projection."""
    names = {
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
        "self_attn.out_proj": "attn.out_proj",
    }
    layers = 1 + max(int(match[1]) for key in text if (match := re.match(r"encoder\.layers\.(\d+)", key)))
    state = {
        "token_embedding.weight": text["embeddings.token_embedding.weight"],
        "positional_embedding": text["embeddings.position_embedding.weight"],
        "ln_final.weight": text["final_layer_norm.weight"],
        "ln_final.bias": text["final_layer_norm.bias"],
        "text_projection": torch.eye(WIDTH),
        "logit_scale": torch.tensor(4.6),
    }
    for layer in range(layers + 1):
        source = f"encoder.layers.{min(layer, layers - 1)}"
        for leaf in ("weight", "bias"):
            for theirs, ours in names.items():
                state[f"transformer.resblocks.{layer}.{ours}.{leaf}"] = text[f"{source}.{theirs}.{leaf}"]
            fused = [text[f"{source}.self_attn.{name}_proj.{leaf}"] for name in "qkv"]
            state[f"transformer.resblocks.{layer}.attn.in_proj_{leaf}"] = torch.cat(fused)
    return {f"cond_stage_model.model.{key}": tensor.clone() for key, tensor in state.items()}


def original_unet_key(key: str) -> str:
    """The name in the original layout of a tensor of diffusers' U-Net."""
    for pattern, replacement in UNET_RULES:
        if match := re.match(pattern, key):
            key = replacement(match) + key[match.end() :]
            break
    if ".transformer_blocks." in key or not re.match(r"(in|out)put_blocks|middle_block", key):
        return key
    for ours, theirs in RESNET_RULES.items():
        key = key.replace(f".{ours}.", f".{theirs}.")
    return key


def original_vae_key(key: str) -> str:
    """The name in the original layout of a tensor of diffusers' autoencoder."""
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda match: f"mid.block_{int(match[1]) + 1}", key)
    key = re.sub(r"down_blocks\.(\d)", r"down.\1", key)
    key = re.sub(r"up_blocks\.(\d)", lambda match: f"up.{VAE_LEVELS - 1 - int(match[1])}", key)
    for ours, theirs in VAE_RULES.items():
        key = key.replace(ours, theirs)
    return key


PER_LEVEL = LAYERS + 1
UNET_RULES: list[tuple[str, Callable[[re.Match[str]], str]]] = [
    (r"conv_in", lambda _: "input_blocks.0.0"),
    (r"time_embedding\.linear_(\d)", lambda m: f"time_embed.{2 * int(m[1]) - 2}"),
    (r"conv_norm_out", lambda _: "out.0"),
    (r"conv_out", lambda _: "out.2"),
    (r"mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}"),
    (r"mid_block\.attentions\.0", lambda _: "middle_block.1"),
    (r"down_blocks\.(\d)\.resnets\.(\d)", lambda m: f"input_blocks.{1 + int(m[1]) * PER_LEVEL + int(m[2])}.0"),
    (r"down_blocks\.(\d)\.attentions\.(\d)", lambda m: f"input_blocks.{1 + int(m[1]) * PER_LEVEL + int(m[2])}.1"),
    (r"down_blocks\.(\d)\.downsamplers\.0\.conv", lambda m: f"input_blocks.{(int(m[1]) + 1) * PER_LEVEL}.0.op"),
    (r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"output_blocks.{int(m[1]) * PER_LEVEL + int(m[2])}.0"),
    (r"up_blocks\.(\d)\.attentions\.(\d)", lambda m: f"output_blocks.{int(m[1]) * PER_LEVEL + int(m[2])}.1"),
    # the first block on the way up has no attention, so doubling comes second there and third elsewhere
    (
        r"up_blocks\.(\d)\.upsamplers\.0\.conv",
        lambda m: f"output_blocks.{int(m[1]) * PER_LEVEL + LAYERS}.{1 if m[1] == '0' else 2}.conv",
    ),
]
RESNET_RULES = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
VAE_RULES = {
    "mid_block.attentions.0.group_norm": "mid.attn_1.norm",
    "mid_block.attentions.0.to_out.0": "mid.attn_1.proj_out",
    "mid_block.attentions.0.to_": "mid.attn_1.",
    "downsamplers.0.conv": "downsample.conv",
    "upsamplers.0.conv": "upsample.conv",
    ".resnets.": ".block.",
    "conv_shortcut": "nin_shortcut",
    "conv_norm_out": "norm_out",
}


def write_single_file(file: Path, family: Family, **changes: Tensor) -> Path:
    """Write the checkpoint in the original layout; `changes` replaces tensors by their whole names."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(original(family) | changes, file)
    return file
