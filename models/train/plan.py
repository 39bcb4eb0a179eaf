"""How long a training lasts, and its learning rate on the way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Ends after `steps` or after `minutes` of training, whichever comes first; 0 sets no limit.

    The last `decay` (share of the whole) brings the learning rate down to 0; until then it is constant, but for the
    warm-up, so that a run can be prolonged: resume it with a longer plan.
    """

    steps: int = 0
    minutes: float = 0.0
    decay: float = 0.35
    batch: int = 16
    learning_rate: float = 8e-4
    warm_up: int = 200
    seed: int = 0

    def progress(self, step: int, seconds: float) -> float:
        """Return how much of the plan is behind, 0..1. A plan without any limit is at its end."""
        if not self.steps and not self.minutes:
            return 1.0
        by_step = step / self.steps if self.steps else 0.0
        by_time = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_step, by_time))

    def rate(self, step: int, seconds: float = 0.0) -> float:
        """Return the learning rate: rising linearly, constant, falling linearly."""
        left = 1 - self.progress(step, seconds)
        return self.learning_rate * min(1.0, (step + 1) / self.warm_up, left / max(self.decay, 1e-9))
