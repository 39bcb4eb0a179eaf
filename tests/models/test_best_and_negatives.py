"""What the figures of choosing and of negative prompts are made of, with pictures whose content is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.train import negatives
from models.train.best import OF, SEEDS, best_of
from models.train.judge import Judge
from models.train.negatives import WORDS, table
from models.train.scene import FIRST_WORLD


class Matcher:
    """A bundle of which only `match` is asked: the brighter the picture, the better."""

    def match(self, prompt: str, pixels: torch.Tensor) -> float:
        assert prompt in ("first", "second")
        return float(pixels.mean() + 1) / 2


def test_the_picture_with_the_best_match_is_chosen() -> None:
    levels = {"first": [10, 200, 30, 40], "second": [90, 20, 30, 40]}

    def draw(prompts: Sequence[str], seed: int) -> list[NDArray[np.uint8]]:
        return [np.full((8, 8, 3), levels[prompt][seed // SEEDS], np.uint8) for prompt in prompts]

    def is_right(pictures: Sequence[NDArray[np.uint8]]) -> list[bool]:
        return [int(picture[0, 0, 0]) in (200, 20) for picture in pictures]

    bundle: Any = Matcher()
    found = best_of(bundle, ["first", "second"], draw, is_right)

    assert found == {"any one": 2 / (2 * OF), "chosen": 0.5, "there": 1.0}


class Obedient(Judge):
    """Reads what a drawer below has written into the first pixel: one bit for each of WORDS."""

    def __init__(self) -> None:
        super().__init__(FIRST_WORLD)

    def read(self, pictures: NDArray[np.uint8]) -> list[dict[str, Any]]:
        return [{part: bool(one[0, 0, 0] >> i & 1) for i, part in enumerate(WORDS)} for one in pictures]


def test_a_sky_is_asked_without_and_with_the_word_as_the_negative() -> None:
    names = {words[0]: 1 << i for i, words in enumerate(WORDS.values())}

    def draw(prompts: Sequence[str], negative: str) -> list[NDArray[np.uint8]]:
        shown = 7 & ~names.get(negative, 0)  # everything that is not the negative prompt
        return [np.full((8, 8, 3), shown, np.uint8) for _ in prompts]

    rows = negatives.negatives(draw, Obedient(), 4)

    assert [row["negative prompt"] for row in rows] == list(names)
    for row in rows:
        assert (row["unasked"], row["unasked, negative"]) == (1.0, 0.0)
        assert (row["asked"], row["asked, negative"]) == (1.0, 0.0)
    assert table(rows)[2] == "| clouds | 100% | 0% | 100% | 0% |"


@pytest.mark.parametrize("part", WORDS)
def test_short_prompts_speak_of_no_sky_and_full_ones_of_the_part(part: str) -> None:
    asked: dict[str, list[str]] = {}

    def draw(prompts: Sequence[str], negative: str) -> list[NDArray[np.uint8]]:
        asked.setdefault(negative, []).extend(prompts)
        return [np.zeros((8, 8, 3), np.uint8) for _ in prompts]

    negatives.negatives(draw, Obedient(), 8)

    words = WORDS[part]
    short, full = asked[words[0]][:8], asked[words[0]][8:]
    assert not any(word in prompt for prompt in short for ways in WORDS.values() for word in ways)
    assert all(any(word in prompt for word in words) for prompt in full)
    assert len(full) == 4
