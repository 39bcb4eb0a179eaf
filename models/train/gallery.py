"""Draw many pictures with one checkpoint, several at a time, as the engine does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ..bundle import Bundle
from ..calls import Call, Predict
from ..jobs import Job, job_of
from ..recipe import Recipe
from .pictures import to_picture

AT_ONCE = 7  # with guidance 14 rows, which a bundle asks the U-Net in one call


def draw(bundle: Bundle, recipes: Sequence[Recipe], title: str = "pictures") -> list[NDArray[np.uint8]]:
    """Return a picture (H, W, 3) for each recipe; all must ask for the same size, sampler and steps."""
    pictures: list[NDArray[np.uint8]] = []
    with tqdm(total=len(recipes), desc=title) as bar:
        for start in range(0, len(recipes), AT_ONCE):
            some = recipes[start : start + AT_ONCE]
            pictures += [to_picture(pixels)[0] for pixels in _in_step([job_of(r, bundle, {}) for r in some], bundle)]
            bar.update(len(some))
    return pictures


def recipes_of(bundle: Bundle, prompts: Sequence[str], **options: object) -> list[Recipe]:
    """Return a recipe for each prompt with the checkpoint's defaults, changed by `options`; seeds count from 0."""
    return [
        Recipe.model_validate({**bundle.defaults, "prompt": prompt, "seed": seed, **options})
        for seed, prompt in enumerate(prompts)
    ]


def _in_step(jobs: Sequence[Job], bundle: Bundle) -> list[Tensor]:
    """Run jobs side by side: those that wait for the same kind of answer get it together."""
    done: dict[int, Tensor] = {}
    waiting: dict[int, Call] = {number: next(job) for number, job in enumerate(jobs)}
    while waiting:
        kind = _kind(next(iter(waiting.values())))
        asked = {number: call for number, call in waiting.items() if _kind(call) == kind}
        for number, answer in zip(asked, bundle.answer([*asked.values()]), strict=True):
            try:
                waiting[number] = jobs[number].send(answer)
            except StopIteration as finished:
                del waiting[number]
                done[number] = finished.value
    return [done[number] for number in range(len(jobs))]


def _kind(call: Call) -> tuple[object, ...]:
    """What calls that are answered together have in common: a long prompt has more tokens than others."""
    return type(call), call.conds[0].shape if isinstance(call, Predict) else None
