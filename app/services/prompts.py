"""What a prompt costs: how many tokens it has and whether its checkpoint can read it. Knows no database and no page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from app.services.errors import InvalidInput
from models.checkpoint.facts import CheckpointError
from models.prompt import BREAK
from models.recipe import MAX_PROMPT
from models.tokenizer import MAX_CHUNKS, Tokenizer

if TYPE_CHECKING:
    from app.services.catalogue import Catalogue
    from models.checkpoint.facts import CheckpointFacts

REMEMBERED_TOKENIZERS = 16


@dataclass(frozen=True, slots=True)
class TokenCount:
    """`count` tokens in chunks of `length`; `room` is what those chunks hold, `most` what the checkpoint reads."""

    count: int
    length: int

    @property
    def room(self) -> int:
        return max(1, -(-self.count // self.length)) * self.length

    @property
    def chunks(self) -> int:
        return self.room // self.length

    @property
    def most(self) -> int:
        return MAX_CHUNKS * self.length


@dataclass(frozen=True, slots=True)
class PromptNotes:
    """What there is to say of a prompt. `tokens` is None where they cannot be counted.

    `is_small`: the checkpoint is one of few words, which has learned prompts of one chunk only.
    """

    unknown_words: Sequence[str] = ()
    tokens: TokenCount | None = None
    is_small: bool = False


def notes(catalogue: Catalogue, checkpoint: str | None, prompt: str) -> PromptNotes:
    """Look at a prompt with a checkpoint's eyes, as far as one may reach.

    Raises `InvalidInput` for a checkpoint that there is not.
    """
    facts = catalogue.get(checkpoint)
    prompt = prompt[:MAX_PROMPT]
    try:
        tokens = count_tokens(facts, prompt)
    except CheckpointError:
        tokens = None
    return PromptNotes(catalogue.unknown_words(facts.name, prompt), tokens, is_small=bool(facts.words))


def count_tokens(checkpoint: CheckpointFacts, prompt: str) -> TokenCount:
    """Count a prompt's tokens as AUTOMATIC1111's web UI does; words that the checkpoint does not know are none.

    The first use takes half a second, for CLIP's vocabulary. Raises `CheckpointError`.
    """
    if not prompt.strip():
        return TokenCount(0, checkpoint.max_tokens - 2)
    tokenizer = _tokenizer(checkpoint.path, checkpoint.bytes)
    return TokenCount(tokenizer.count(prompt), tokenizer.length)


def check_prompts(checkpoint: CheckpointFacts, prompt: str, negative_prompt: str, clip_skip: int) -> None:
    """Raise `InvalidInput` for prompts that are too long for a checkpoint, and for a layer that it does not have."""
    errors = []
    for field, text in (("prompt", prompt), ("negative_prompt", negative_prompt)):
        if _may_be_long(text, checkpoint.max_tokens - 2):
            found = count_tokens(checkpoint, text)
            if found.count > found.most:
                message = f"It has {found.count} tokens; checkpoint {checkpoint.name!r} reads at most {found.most}."
                errors.append({"field": field, "message": message})
    if clip_skip > checkpoint.text_layers:
        message = f"At most {checkpoint.text_layers}: the text encoder of {checkpoint.name!r} has no more layers."
        errors.append({"field": "clip_skip", "message": message})
    if errors:
        raise InvalidInput(errors)


def _may_be_long(text: str, length: int) -> bool:
    """Whether a prompt could have too many tokens: each has a byte at least, but a `BREAK` fills up its chunk."""
    breaks = len(BREAK.findall(text))
    return len(text.encode()) + breaks * length > MAX_CHUNKS * length


@lru_cache(maxsize=REMEMBERED_TOKENIZERS)
def _tokenizer(path: str, size: int) -> Tokenizer:  # noqa: ARG001, a checkpoint of another size is another
    from models.checkpoint.facts import layout_of
    from models.checkpoint.tokenizers import tokenizer_of

    return tokenizer_of(layout_of(Path(path)))
