"""The time that a stage has trained, kept over interruptions, and a limit for one call."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """`seconds` of training so far; `deadline` (of `time.monotonic`) ends this call, the plan goes on in the next."""

    seconds: float = 0.0
    deadline: float | None = None
    _last: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Count from now on; what came before, such as rendering, was no training."""
        self._last = time.monotonic()

    def tick(self) -> float:
        """Add the time since the last tick and return the sum."""
        now = time.monotonic()
        self.seconds, self._last = self.seconds + now - self._last, now
        return self.seconds

    @property
    def is_up(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline
