"""The few CLIP tokens that the captions use, and a text encoder over them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from .. import bpe
from ..text import BOS, EOS, CompactVocabulary, Tokenizer, build_text_model
from .design import Design
from .scene import WORLDS, sample_scene
from .speech import caption, vocabulary

if TYPE_CHECKING:
    from transformers.models.clip.modeling_clip import CLIPTextModel

CAPTIONS = 5000  # enough to meet every joining word of the grammar


@dataclass(frozen=True)
class Words:
    """A compact vocabulary with its tokenizer. Rows: the tokens in the order of their CLIP ids, begin and end last."""

    vocabulary: CompactVocabulary
    tokenizer: Tokenizer

    @classmethod
    def of_grammar(cls, design: Design) -> Self:
        """Take the tokens of all that a caption can say in the design's world."""
        ids = _tokens_of(design.world)
        compact = CompactVocabulary(ids=(*ids, BOS, EOS), bos=len(ids), eos=len(ids) + 1, pad=len(ids) + 1)
        return cls(compact, Tokenizer(max_tokens=design.context, vocabulary=compact))

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Return rows (B, context), int64."""
        return torch.stack([self._tokens(text) for text in texts])

    @lru_cache(maxsize=200_000)  # noqa: B019
    def _tokens(self, text: str) -> Tensor:
        return torch.tensor(self.tokenizer([text])[0], dtype=torch.int64)

    def save(self, folder: Path) -> None:
        """Write `vocab_ids.json` for our tokenizer, and a CLIP tokenizer cut down to these tokens for others."""
        folder.mkdir(parents=True, exist_ok=True)
        compact = self.vocabulary
        content = {"ids": list(compact.ids), "bos": compact.bos, "eos": compact.eos, "pad": compact.pad}
        (folder / "vocab_ids.json").write_text(json.dumps(content) + "\n")
        names = {piece: row for row, piece in enumerate([*self._names, *self._pieces])}
        (folder / "vocab.json").write_text(json.dumps(names, ensure_ascii=False) + "\n")
        (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in self._merges))
        config = {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": self.tokenizer.max_tokens,
            "bos_token": _SPECIAL[BOS],
            "eos_token": _SPECIAL[EOS],
            "pad_token": _SPECIAL[EOS],
            "unk_token": _SPECIAL[EOS],
            "do_lower_case": True,
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")

    @property
    def rows(self) -> int:
        """How many rows the saved tokenizer can ask for: the known tokens, then the pieces they are merged from.

        A known word never leaves such a piece over; an unknown word may, in another program's tokenizer.
        """
        return len(self._names) + len(self._pieces)

    @cached_property
    def _names(self) -> list[str]:
        names = [*bpe.signs(), *(left + right for left, right in bpe.read_merges())]
        return [_SPECIAL.get(token) or names[token] for token in self.vocabulary.ids]

    @cached_property
    def _pieces(self) -> list[str]:
        return sorted({part for pair in self._merges for part in pair} - set(self._names))

    @cached_property
    def _merges(self) -> list[tuple[str, str]]:
        """The merges by which CLIP's tokenizer arrives at these tokens, in its order."""
        merges = bpe.read_merges()
        made_of = {left + right: (left, right) for left, right in merges}
        wanted = set(self._names)
        queue = list(wanted)
        while queue:
            for part in made_of.get(queue.pop(), ()):
                if part not in wanted:
                    wanted.add(part)
                    queue.append(part)
        return [pair for pair in merges if pair[0] + pair[1] in wanted]


def meaning(world: int) -> str:
    """What tokens and labels of a world mean, as a hash: another for other words, or for other parts of a scene."""
    return sha256(repr((_tokens_of(world), WORLDS[world].classes)).encode()).hexdigest()


@cache
def _tokens_of(world: int) -> tuple[int, ...]:
    """Collect the CLIP ids of the vocabulary and of many captions of a world, ascending."""
    texts = {way for ways in vocabulary(WORLDS[world]).values() for way in ways}
    for number in range(CAPTIONS):
        rng = Random(number)
        texts.add(caption(sample_scene(rng, WORLDS[world]), rng))
    return tuple(sorted({token for text in texts for token in bpe.encode(text)}))


_SPECIAL = {BOS: "<|startoftext|>", EOS: "<|endoftext|>"}


def text_model(design: Design, words: Words) -> CLIPTextModel:
    """Build the text encoder over the compact vocabulary, with fresh weights."""
    compact = words.vocabulary
    return build_text_model(
        design.text
        | {
            "vocab_size": len(compact.ids),
            "bos_token_id": compact.bos,
            "eos_token_id": compact.eos,
            "pad_token_id": compact.pad,
        }
    )
