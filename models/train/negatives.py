"""What a negative prompt takes away: how often a sky shows what is named there, as a judge of renders reads it.

Once where nobody spoke of it, of prompts as short as people write them, and once where the prompt itself asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .judge import Judge
from .pictures import HELD_OUT, scene_of
from .scene import World
from .speech import SAY_AURORA, SAY_CLOUDS, SAY_STARS, caption, hint

FIRST = HELD_OUT + 80_000
WORDS = {"clouds": SAY_CLOUDS, "stars": SAY_STARS, "aurora": SAY_AURORA}  # the first of which is the negative prompt

Draw = Callable[[Sequence[str], str], list[NDArray[np.uint8]]]  # prompts and a negative prompt to pictures


def negatives(draw: Draw, reader: Judge, prompts: int) -> list[dict[str, Any]]:
    """Return for each of WORDS the shares of pictures that show it, 0..1, each without and with it as the negative.

    "unasked" are `prompts` prompts that speak of none of WORDS, "asked" half as many that ask for it among others.
    """
    short = [*islice(_silent(reader.world), prompts)]
    unasked = reader.read(np.stack(draw(short, "")))
    rows = []
    for part, words in WORDS.items():
        asking = [*islice(_asking(reader.world, part), max(1, prompts // 2))]
        seen = {
            "unasked": unasked,
            "unasked, negative": reader.read(np.stack(draw(short, words[0]))),
            "asked": reader.read(np.stack(draw(asking, ""))),
            "asked, negative": reader.read(np.stack(draw(asking, words[0]))),
        }
        shares = {name: float(np.mean([one[part] for one in found])) for name, found in seen.items()}
        rows.append({"negative prompt": words[0]} | shares)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    titles = [*rows[0]]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    shown = [[row[titles[0]], *(f"{row[title]:.0%}" for title in titles[1:])] for row in rows]
    return lines + [f"| {' | '.join(cells)} |" for cells in shown]


def _silent(world: World) -> Iterator[str]:
    """Short prompts, each of another scene, that say nothing of what may be in the sky beside a sun or moon."""
    for number in count(FIRST):
        scene = scene_of(number, world)
        said = hint(scene, Random(number))
        if not scene.backdrop and not any(word in said for words in WORDS.values() for word in words):
            yield said


def _asking(world: World, part: str) -> Iterator[str]:
    """Full captions of scenes that show the part."""
    for number in count(FIRST):
        scene = scene_of(number, world)
        if getattr(scene, part):
            yield caption(scene, Random(number), omissions=0)
