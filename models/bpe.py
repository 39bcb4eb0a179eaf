"""CLIP's byte pair encoding (arXiv:2103.00020 section 2.4, arXiv:1508.07909): text to token ids, without torch.

The merges are those of the file that open_clip carries; the package itself, which would bring torch, torchvision and
timm, is never imported. Ids: 256 bytes, the same at the end of a word, then the result of each merge in order.
"""

from __future__ import annotations

import functools
import gzip
import heapq
import html
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

BOS, EOS = 49406, 49407
COMMA = 267
CLIP_VOCABULARY = 49408
BYTES = 256
MERGES = BOS - 2 * BYTES
REMEMBERED_WORDS = 20_000
GONE = -1
PATTERN = r"'(?:[stmd]|re|ve|ll)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
PRINTABLE = (range(ord("!"), ord("~") + 1), range(ord("¡"), ord("¬") + 1), range(ord("®"), ord("ÿ") + 1))


def encode(text: str) -> list[int]:
    """Return the ids of a text, without begin and end."""
    return [token for word in words(text) for token in _ids(word)]


def words(text: str) -> list[str]:
    """Return the words, digits and runs of signs that are encoded each for itself, in lower case."""
    found: list[str] = _pattern().findall(_clean(text))
    return found


def ids_of_word(word: str) -> tuple[int, ...]:
    """Return the ids of one of `words`."""
    return _ids(word)


def signs() -> list[str]:
    """Return how the vocabulary's file writes the first 512 ids."""
    printable = [chr(byte) for group in PRINTABLE for byte in group]
    alone = [*printable, *(chr(BYTES + index) for index in range(BYTES - len(printable)))]
    return [*alone, *(f"{sign}</w>" for sign in alone)]


def read_merges() -> list[tuple[str, str]]:
    """Return the merges in the order of the ids that they make, as the vocabulary's file writes them."""
    lines = gzip.decompress(_file().read_bytes()).decode().split("\n")
    pieces = " ".join(lines[1 : MERGES + 1]).split(" ")  # a third of the time that each line by itself takes
    return list(zip(pieces[::2], pieces[1::2], strict=True))


def _clean(text: str) -> str:
    """Mend what was decoded wrongly, resolve HTML entities (twice, as CLIP does), join whitespace, lower the case."""
    if not (text.isascii() and text.isprintable() and "&" not in text):  # else there is nothing to mend or resolve
        import ftfy  # 0.1 s and 6 MB, which most prompts need not spend

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


@functools.cache
def _pattern() -> Any:
    import regex

    return regex.compile(PATTERN, regex.IGNORECASE)


@functools.lru_cache(maxsize=REMEMBERED_WORDS)
def _ids(word: str) -> tuple[int, ...]:
    """Merge the neighbours that were merged first in training, until none of them ever was.

    The possible merges are a heap, so that a text without spaces, which is one word, takes n log n.
    """
    order, merges = _byte_order(), _merges()
    ids = [order[byte] for byte in word.encode()]
    ids[-1] += BYTES
    before, after = list(range(-1, len(ids) - 1)), list(range(1, len(ids) + 1))
    heap: list[tuple[int, int, int, int]] = []  # what comes of it, where its left one is, left, right

    def offer(left: int) -> None:
        if left >= 0 and after[left] < len(ids):
            pair = ids[left], ids[after[left]]
            if (merged := merges.get(pair)) is not None:
                heapq.heappush(heap, (merged, left, *pair))

    for place in range(len(ids)):
        offer(place)
    while heap:
        merged, left, *pair = heapq.heappop(heap)
        right = after[left]
        if right >= len(ids) or [ids[left], ids[right]] != pair:
            continue  # one of them was merged with another meanwhile
        ids[left], ids[right] = merged, GONE
        after[left] = after[right]
        if after[left] < len(ids):
            before[after[left]] = left
        offer(before[left])
        offer(left)
    return tuple(token for token in ids if token != GONE)


@functools.cache
def _byte_order() -> Mapping[int, int]:
    """The id of each byte: those that print come first."""
    printable = [byte for group in PRINTABLE for byte in group]
    others = [byte for byte in range(BYTES) if byte not in printable]
    return {byte: index for index, byte in enumerate([*printable, *others])}


@functools.cache
def _merges() -> Mapping[tuple[int, int], int]:
    """The id that two neighbours become."""
    ids = {sign: index for index, sign in enumerate(signs())}
    merges = {}
    for merged, (left, right) in enumerate(read_merges(), start=2 * BYTES):
        merges[ids[left], ids[right]] = ids[left + right] = merged
    return merges


def _file() -> Path:
    package = find_spec("open_clip")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("open_clip, which carries CLIP's vocabulary, is missing: pip install open_clip_torch")
    return Path(package.submodule_search_locations[0]) / "bpe_simple_vocab_16e6.txt.gz"
