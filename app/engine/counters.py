"""What the engine has done since its start, in numbers that only grow."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import asdict, dataclass, field
from typing import Any

EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds


@dataclass
class Histogram:
    """How many times took how long: `counts` between the edges, the last beyond them."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(EDGES, seconds)] += 1
        self.total += seconds


@dataclass
class Counters:
    """A step is one U-Net answer to one task; a wait is from a task's arrival to the call of its first step.

    Padding are rows that were asked besides, for equal bits or to fill up what was compiled. Steps are timed by call.
    """

    rows_total: int = 0
    padding_total: int = 0
    calls_total: int = 0
    compiled_total: int = 0
    steps_total: int = 0
    step_seconds_total: float = 0.0
    call_seconds: Histogram = field(default_factory=Histogram)
    wait_seconds: Histogram = field(default_factory=Histogram)

    def as_dict(self) -> dict[str, Any]:
        rows_per_call = self.rows_total / self.calls_total if self.calls_total else 0.0
        return {**asdict(self), "rows_per_call": rows_per_call, "edges": EDGES}

    def count_call(self, *, rows: int, padding: int, tasks: int, seconds: float) -> None:
        self.rows_total += rows
        self.padding_total += padding
        self.calls_total += 1
        self.steps_total += tasks
        self.step_seconds_total += seconds
        self.call_seconds.add(seconds)
