"""Prompts to hidden states: CLIP's text transformer, arXiv:2103.00020 section 2.4.

The transformer is transformers' `CLIPTextModel`, imported when one is built, and without the rest of that package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from models.bpe import BOS, CLIP_VOCABULARY, EOS
from models.prompt import PromptError
from models.tokenizer import MAX_TOKENS, CompactVocabulary, Tokenizer
from models.transformers_clip import clip_classes

if TYPE_CHECKING:
    from transformers.models.clip.modeling_clip import CLIPTextModel

__all__ = [
    "BOS",
    "CLIP_VOCABULARY",
    "EOS",
    "MAX_TOKENS",
    "CompactVocabulary",
    "TextTower",
    "Tokenizer",
    "Tower",
    "build_text_model",
]


class Tower(Protocol):
    """A text encoder of any family, with its tokenizer."""

    @property
    def tokenizer(self) -> Tokenizer: ...
    def states(self, ids: Tensor, *, clip_skip: int) -> Tensor:
        """Return the states of a layer after the final norm, (n, max_tokens, D); see `TextTower`."""
        ...


class TextTower:
    """CLIP's text transformer with its tokenizer."""

    def __init__(self, model: CLIPTextModel, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer

    def states(self, ids: Tensor, *, clip_skip: int = 1) -> Tensor:
        """Return the final norm of a layer's states, (n, max_tokens, D), on the model's device.

        `ids` (n, max_tokens) are the tokenizer's. `clip_skip` 1 is the last layer, 2 the one before: what diffusers
        calls 0 and 1. Raises `PromptError` where the encoder has no such layer.
        """
        layers = self.model.config.num_hidden_layers
        if not 1 <= clip_skip <= layers:
            raise PromptError(
                f"clip_skip is {clip_skip}; this checkpoint's text encoder has {layers} layers to choose from"
            )
        ids = ids.to(self.model.device)
        if clip_skip == 1:
            last: Tensor = self.model(input_ids=ids).last_hidden_state
            return last
        hidden = self.model(input_ids=ids, output_hidden_states=True).hidden_states
        skipped: Tensor = self.model.final_layer_norm(hidden[-clip_skip])
        return skipped


def build_text_model(config: Mapping[str, Any]) -> CLIPTextModel:
    """Build transformers' `CLIPTextModel` from a `text_encoder/config.json`, with fresh weights.

    On the meta device (`with torch.device("meta")`) it costs nothing; its position ids are real even then.
    """
    config_class, model_class = clip_classes()
    text_config = config_class.from_dict(dict(config) | {"experts_implementation": "eager"})  # CLIP has no experts
    model = model_class(text_config)
    with torch.device("cpu"):
        positions = torch.arange(text_config.max_position_embeddings).unsqueeze(0)
    model.embeddings.register_buffer("position_ids", positions, persistent=False)
    return model
