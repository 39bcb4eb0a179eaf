"""The text encoders of checkpoints: CLIP-L by transformers, ViT-H of single files by open_clip.

open_clip is imported only for such a file: it brings torchvision and timm with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.checkpoint.layout import Layout
from models.checkpoint.single_file import SingleFile
from models.checkpoint.weights import network
from models.devices import has_bfloat16
from models.linear import adopt
from models.prompt import PromptError
from models.text import TextTower, Tower, build_text_model
from models.tokenizer import Tokenizer
from models.torchvision_guard import declare_missing_operators

if TYPE_CHECKING:
    from open_clip.transformer import TextTransformer

READ = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "hidden_act",
    "layer_norm_eps",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)  # of a text_encoder/config.json: what shapes the network; the rest is about training and files


class OpenClipTower:
    """ViT-H's text transformer, whose last layer Stable Diffusion 2 does not use: the model here ends before it."""

    def __init__(self, model: TextTransformer, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer

    def states(self, ids: Tensor, *, clip_skip: int = 1) -> Tensor:
        """Return the final norm of a layer's states, (n, max_tokens, D), on the model's device.

        `clip_skip` 1 is ViT-H's penultimate layer, 2 the one before. Raises `PromptError` where there is none.
        """
        layers = len(self.model.transformer.resblocks)
        if not 1 <= clip_skip <= layers:
            raise PromptError(
                f"clip_skip is {clip_skip}; this checkpoint's text encoder has {layers} layers to choose from"
            )
        states: Tensor = self.model.forward_intermediates(
            ids.to(self.model.token_embedding.weight.device),
            indices=[layers - clip_skip],
            stop_early=True,
            normalize_intermediates=True,
            intermediates_only=True,
            output_fmt="NLC",
        )["text_intermediates"][0]
        return states


def tower_of(files: Layout, tokenizer: Tokenizer, device: torch.device, dtype: torch.dtype) -> Tower:
    """Load the text encoder of a checkpoint. Raises `CheckpointError`."""
    config = {key: value for key, value in files.text_encoder.items() if key in READ}
    slots = files.weights("text_encoder")
    tower: OpenClipTower | TextTower
    if isinstance(files, SingleFile) and files.has_open_clip:
        model = network(lambda: _open_clip(config), slots, device, dtype)
        tower = OpenClipTower(_with_mask(model, device, dtype), tokenizer)
    else:
        clip = network(lambda: build_text_model(config), slots, device, dtype)
        clip.embeddings.to(device)  # whose position ids are in no file
        tower = TextTower(clip, tokenizer)
    if dtype is torch.bfloat16 and not has_bfloat16(device):
        adopt(tower.model)
    return tower


def _open_clip(config: Mapping[str, Any]) -> TextTransformer:
    declare_missing_operators()
    from open_clip.transformer import TextTransformer

    return TextTransformer(
        context_length=config["max_position_embeddings"],
        vocab_size=config["vocab_size"],
        width=config["hidden_size"],
        heads=config["num_attention_heads"],
        layers=config["num_hidden_layers"],
        mlp_ratio=config["intermediate_size"] / config["hidden_size"],
        output_dim=None,
    )


def _with_mask(model: TextTransformer, device: torch.device, dtype: torch.dtype) -> TextTransformer:
    """Give the model the causal mask, which is in no file and so was built without memory."""
    model.attn_mask = torch.full((model.num_pos, model.num_pos), -torch.inf, device=device, dtype=dtype).triu(1)
    return model
