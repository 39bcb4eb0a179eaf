"""Prompts to hidden states: CLIP's tokenizer and text transformer, arXiv:2103.00020 section 2.4.

The transformer is transformers' `CLIPTextModel`, imported only when one is built (the import takes 2.3 s, twice as
long as torch's). The tokenizer is the one that open_clip carries, loaded from its file alone: importing the package
would bring torchvision and timm with it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import Tensor

from models.torchvision_guard import declare_missing_operators

if TYPE_CHECKING:
    from transformers.models.clip.modeling_clip import CLIPTextModel

BOS, EOS = 49406, 49407
CLIP_VOCABULARY = 49408
MAX_TOKENS = 77


@dataclass(frozen=True)
class CompactVocabulary:
    """The few CLIP ids that a small checkpoint knows: row i of its token embedding belongs to CLIP id `ids[i]`."""

    ids: tuple[int, ...]
    bos: int  # these three are rows
    eos: int
    pad: int

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read `tokenizer/vocab_ids.json`. Raises `ValueError` naming the key."""
        ids = content.get("ids")
        if not isinstance(ids, list) or not ids or not all(type(item) is int for item in ids):
            raise ValueError("ids must be a list of CLIP token ids")
        rows = {}
        for key in ("bos", "eos", "pad"):
            row = content.get(key)
            if type(row) is not int or not 0 <= row < len(ids):
                raise ValueError(f"{key} must be a row from 0 to {len(ids) - 1}, not {row!r}")
            rows[key] = row
        return cls(ids=tuple(ids), **rows)

    @functools.cached_property
    def rows(self) -> Mapping[int, int]:
        """The row of each CLIP id."""
        return {clip_id: row for row, clip_id in enumerate(self.ids)}


class Tokenizer:
    """Turn prompts into rows of the token embedding: begin, tokens, end, padding, `max_tokens` in all.

    What is too long is cut off. With a compact vocabulary, tokens outside it are left out.
    """

    def __init__(
        self, *, max_tokens: int = MAX_TOKENS, pad: int = EOS, vocabulary: CompactVocabulary | None = None
    ) -> None:
        self.max_tokens = max_tokens
        self.vocabulary = vocabulary
        self.bos, self.eos, self.pad = (
            (vocabulary.bos, vocabulary.eos, vocabulary.pad) if vocabulary else (BOS, EOS, pad)
        )

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return ids (B, max_tokens), int64."""
        return torch.tensor([self._row(text) for text in texts], dtype=torch.int64).reshape(-1, self.max_tokens)

    def unknown_words(self, text: str) -> list[str]:
        """List the words of which some token is outside the compact vocabulary, each once, in their order."""
        if self.vocabulary is None:
            return []
        known = self.vocabulary.rows.keys()
        clip = _clip_tokenizer()
        words: list[str] = clip.pat.findall(clip.clean_fn(text))
        unknown = (word for word in words if any(char.isalnum() for char in word) and not known >= _ids(word))
        return list(dict.fromkeys(unknown))

    def _row(self, text: str) -> list[int]:
        tokens = self._known(_clip_tokenizer().encode(text))[: self.max_tokens - 2]
        row = [self.bos, *tokens, self.eos]
        return row + [self.pad] * (self.max_tokens - len(row))

    def _known(self, tokens: list[int]) -> list[int]:
        if self.vocabulary is None:
            return tokens
        rows = self.vocabulary.rows
        return [rows[token] for token in tokens if token in rows]


class TextTower:
    """A text transformer with its tokenizer."""

    def __init__(self, model: CLIPTextModel, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer

    def states(self, ids: Tensor, *, clip_skip: int = 1) -> Tensor:
        """Return the final norm of a layer's states, (n, max_tokens, D), on the model's device.

        `ids` (n, max_tokens) are the tokenizer's. `clip_skip` 1 is the last layer, 2 the one before: what diffusers
        calls 0 and 1. Raises `ValueError` where the encoder has no such layer.
        """
        layers = self.model.config.num_hidden_layers
        if not 1 <= clip_skip <= layers:
            raise ValueError(
                f"clip_skip is {clip_skip}; this checkpoint's text encoder has {layers} layers to choose from"
            )
        ids = ids.to(self.model.device)
        if clip_skip == 1:
            last: Tensor = self.model(input_ids=ids).last_hidden_state
            return last
        hidden = self.model(input_ids=ids, output_hidden_states=True).hidden_states
        skipped: Tensor = self.model.final_layer_norm(hidden[-clip_skip])
        return skipped

    def unknown_words(self, text: str) -> list[str]:
        """List the words of a prompt that this checkpoint does not know; none if it has CLIP's whole vocabulary."""
        return self.tokenizer.unknown_words(text)


def build_text_model(config: Mapping[str, Any]) -> CLIPTextModel:
    """Build transformers' `CLIPTextModel` from a `text_encoder/config.json`, with fresh weights.

    On the meta device (`with torch.device("meta")`) it costs nothing; its position ids are real even then.
    """
    declare_missing_operators()
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    text_config = CLIPTextConfig.from_dict(dict(config))
    model = CLIPTextModel(text_config)
    with torch.device("cpu"):
        positions = torch.arange(text_config.max_position_embeddings).unsqueeze(0)
    model.embeddings.register_buffer("position_ids", positions, persistent=False)
    return model


@functools.cache
def _clip_tokenizer() -> Any:
    """Load the class `SimpleTokenizer` of open_clip from its file, and return the module's own instance."""
    package = find_spec("open_clip")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("open_clip, which carries CLIP's vocabulary, is missing: pip install open_clip_torch")
    file = Path(package.submodule_search_locations[0]) / "tokenizer.py"
    spec = spec_from_file_location("mezzotint_clip_tokenizer", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._tokenizer


def _ids(text: str) -> set[int]:
    return set(cast(Iterable[int], _clip_tokenizer().encode(text)))
