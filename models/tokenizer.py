"""From a prompt to rows of the token embedding. Imports no torch, so that the web process can count tokens."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from models import bpe
from models.bpe import BOS, COMMA, EOS
from models.prompt import Cut, PromptError, cut, parse, plain

MAX_TOKENS = 77
MAX_CHUNKS = 20


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


@dataclass(frozen=True, slots=True)
class Chunk:
    """What the text encoder takes at once: `ids` and their `weights`, begin, end and padding included."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]


class Tokenizer:
    """Turn prompts into rows of the token embedding: begin, tokens, end, padding, `max_tokens` in all.

    With a compact vocabulary, tokens outside it are left out before anything is counted or cut.
    """

    def __init__(
        self, *, max_tokens: int = MAX_TOKENS, pad: int = EOS, vocabulary: CompactVocabulary | None = None
    ) -> None:
        self.max_tokens = max_tokens
        self.vocabulary = vocabulary
        self.bos, self.eos, self.pad = (
            (vocabulary.bos, vocabulary.eos, vocabulary.pad) if vocabulary else (BOS, EOS, pad)
        )

    @property
    def length(self) -> int:
        """How many tokens of a prompt fit into one chunk."""
        return self.max_tokens - 2

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of plain texts, without markup, each cut to one chunk."""
        return [self._row(self._known(bpe.encode(text))[: self.length]) for text in texts]

    def chunks(self, prompt: str) -> list[Chunk]:
        """Return the chunks of a prompt, one at least. Raises `PromptError` where there are more than `MAX_CHUNKS`."""
        found = self._cut(prompt)
        if len(found.chunks) > MAX_CHUNKS:
            most = MAX_CHUNKS * self.length
            raise PromptError(f"the prompt has {found.count} tokens; this checkpoint reads at most {most}")
        return [self._chunk([token for token, _ in chunk], [weight for _, weight in chunk]) for chunk in found.chunks]

    def count(self, prompt: str) -> int:
        """Return how many tokens a prompt takes, as the web UI counts: each chunk but the last in full."""
        return self._cut(prompt).count

    def unknown_words(self, prompt: str) -> list[str]:
        """List the words of which some token is outside the compact vocabulary, each once, in their order."""
        if self.vocabulary is None:
            return []
        known = self.vocabulary.rows.keys()
        unknown = (
            word
            for word in bpe.words(plain(prompt))
            if any(char.isalnum() for char in word) and not known >= set(bpe.ids_of_word(word))
        )
        return list(dict.fromkeys(unknown))

    def _cut(self, prompt: str) -> Cut:
        sections = [
            [(token, piece.weight) for piece in section for token in self._known(bpe.encode(piece.text))]
            for section in parse(prompt)
        ]
        comma = COMMA if self.vocabulary is None else self.vocabulary.rows.get(COMMA)
        return cut(sections, self.length, comma=comma)

    def _chunk(self, tokens: list[int], weights: list[float]) -> Chunk:
        rest = self.max_tokens - 1 - len(weights)
        return Chunk(tuple(self._row(tokens)), (1.0, *weights, *(1.0,) * rest))

    def _row(self, tokens: list[int]) -> list[int]:
        row = [self.bos, *tokens, self.eos]
        return row + [self.pad] * (self.max_tokens - len(row))

    def _known(self, tokens: list[int]) -> list[int]:
        if self.vocabulary is None:
            return tokens
        rows = self.vocabulary.rows
        return [rows[token] for token in tokens if token in rows]
