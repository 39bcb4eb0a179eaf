"""Carry out one job alone, in the calling thread: for the command line and for tests. The engine batches instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from models.calls import Call, Predict
from models.jobs import Job


class Answers(Protocol):
    """Who answers a job's calls; a `Bundle` does."""

    def answer(self, calls: Sequence[Call], /) -> list[Tensor]: ...


def run(job: Job, bundle: Answers, on_step: Callable[[Predict], None] | None = None) -> Tensor:
    """Answer each call of a job in turn and return its pixels; `on_step` is told each `Predict` before its answer."""
    try:
        call = next(job)
        while True:
            if on_step is not None and isinstance(call, Predict):
                on_step(call)
            call = job.send(bundle.answer([call])[0])
    except StopIteration as finished:
        pixels: Tensor = finished.value
        return pixels
