"""Prompts as people write them: which part of a prompt counts how much, and how a long one is cut.

The language and its counts are those of AUTOMATIC1111's web UI, which most shared prompts are written for:
`(word)` weighs 1.1 times as much, `[word]` that much less, `(word:1.3)` 1.3 times; brackets nest and multiply, one
that is never closed reaches to the end, and a backslash makes a bracket an ordinary character. `BREAK` begins a new
chunk. Knows no tokenizer and no tensor; what weights do to a text encoder's states is in `emphasis.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

BRACKET = 1.1  # how much a pair of round brackets weighs; square ones take as much away
MAX_WEIGHT = 100.0  # either way, so that no nesting ends in infinity
MAX_DEPTH = 64  # brackets within more others of their kind weigh nothing
BACKTRACK = 20 / 75  # how far before the end of a chunk a comma may be for the chunk to end there

BREAK = re.compile(r"\bBREAK\b\s*")  # no whitespace before: looking for it would take the square of its length
SYMBOL = re.compile(
    r"""\\(?P<escaped>[()\[\]\\])
      | (?P<opened>[(\[])
      | :\s*(?P<weight>[+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*\)
      | (?P<closed>[)\]])
      | (?P<dropped>\\)
      | (?P<text>[^\\()\[\]:]+|:)""",
    re.VERBOSE,
)

Token = tuple[int, float]  # id, weight


class PromptError(ValueError):
    """A prompt cannot be read by this checkpoint's text encoder. The message says why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a prompt of one weight, without its brackets."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Cut:
    """A prompt's tokens in chunks of at most a length; `count` is what a token counter shows.

    As in the web UI each chunk but the last counts in full. The last one is empty after a `BREAK` at the end, and
    then left out.
    """

    chunks: tuple[tuple[Token, ...], ...]
    count: int


def parse(prompt: str) -> list[list[Piece]]:
    """Return the sections that `BREAK` divides a prompt into, each as pieces whose neighbours differ in weight.

    What is no markup is text: a bracket that was never opened, a number that no bracket follows. The whitespace
    around `BREAK` is dropped, as is a backslash before anything but a bracket or a backslash. Other than in the web
    UI, `BREAK` also works within brackets.
    """
    sections: list[list[Piece]] = [[]]
    for text, weight in _weighted(prompt):
        *before, last = BREAK.split(text)
        for part in before:
            _append(sections[-1], part.rstrip(), weight)
            sections.append([])
        _append(sections[-1], last, weight)
    return sections


def plain(prompt: str) -> str:
    """Return the words of a prompt without its markup."""
    return " ".join(piece.text for section in parse(prompt) for piece in section)


def cut(sections: Iterable[Sequence[Token]], length: int, *, comma: int | None) -> Cut:
    """Put the tokens of each section into chunks of at most `length`, at a comma if one is near enough to the end."""
    chunks = [chunk for section in sections for chunk in _chunks(section, length, comma)]
    count = length * (len(chunks) - 1) + len(chunks[-1])
    return Cut(tuple(chunks if chunks[-1] or len(chunks) == 1 else chunks[:-1]), count)


def _weighted(prompt: str) -> list[tuple[str, float]]:
    texts: list[str] = []
    weights: list[float] = []
    opened: dict[str, list[int | None]] = {"(": [], "[": []}

    def weigh(first: int | None, factor: float) -> None:
        for index in range(len(weights) if first is None else first, len(weights)):
            weights[index] = max(-MAX_WEIGHT, min(MAX_WEIGHT, weights[index] * factor))

    for match in SYMBOL.finditer(prompt):
        match match.lastgroup:
            case "opened":
                is_deep = len(opened[match[0]]) >= MAX_DEPTH
                opened[match[0]].append(None if is_deep else len(texts))
            case "weight" if opened["("]:
                weigh(opened["("].pop(), float(match["weight"]))
            case "closed" if match[0] == ")" and opened["("]:
                weigh(opened["("].pop(), BRACKET)
            case "closed" if match[0] == "]" and opened["["]:
                weigh(opened["["].pop(), 1 / BRACKET)
            case "dropped":
                pass
            case _:
                texts.append(match["escaped"] or match[0])
                weights.append(1.0)
    for bracket, factor in (("(", BRACKET), ("[", 1 / BRACKET)):
        for first in opened[bracket]:
            weigh(first, factor)
    return list(zip(texts, weights, strict=True))


def _append(section: list[Piece], text: str, weight: float) -> None:
    if not text:
        return
    if section and section[-1].weight == weight:
        text = section.pop().text + text
    section.append(Piece(text, weight))


def _chunks(tokens: Sequence[Token], length: int, comma: int | None) -> Iterator[tuple[Token, ...]]:
    while len(tokens) > length:
        end = _end(tokens, length, comma)
        yield tuple(tokens[:end])
        tokens = tokens[end:]
    yield tuple(tokens)


def _end(tokens: Sequence[Token], length: int, comma: int | None) -> int:
    """After the last comma near the end of the first chunk; at its length where there is none, or one comes next."""
    if tokens[length][0] != comma:
        for index in range(length - 1, length - 1 - int(BACKTRACK * length), -1):
            if tokens[index][0] == comma:
                return index + 1
    return length
