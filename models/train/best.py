"""What choosing brings: of several pictures of a prompt the one that the checkpoint's image tower puts first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from .pictures import to_pixels

OF = 4
SEEDS = 1000  # apart from each other's: those of the pictures of one prompt

Draw = Callable[[Sequence[str], int], list[NDArray[np.uint8]]]  # prompts and a first seed to pictures
IsRight = Callable[[Sequence[NDArray[np.uint8]]], list[bool]]  # one picture of each prompt, each right or wrong


def best_of(bundle: Bundle, prompts: Sequence[str], draw: Draw, is_right: IsRight) -> dict[str, float]:
    """Return the shares of prompts, 0..1, of which a picture is right: any one, the one chosen of OF, one of all OF."""
    tries = [draw(prompts, SEEDS * number) for number in range(OF)]
    right = np.array([is_right(pictures) for pictures in tries])  # (OF, N)
    matches = np.array(
        [
            [
                bundle.match(prompt, to_pixels(picture[None])) or 0.0
                for prompt, picture in zip(prompts, some, strict=True)
            ]
            for some in tries
        ]
    )
    chosen = right[matches.argmax(0), np.arange(len(prompts))]
    return {"any one": float(right.mean()), "chosen": float(chosen.mean()), "there": float(right.any(0).mean())}
