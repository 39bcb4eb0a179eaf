"""How long a training lasts, and its learning rate over the steps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """`steps` in all, of which the last `decay` bring the learning rate down to 0.

    Until then it is constant (but for the warm-up), so that a run can be prolonged: resume it with more steps.
    """

    steps: int
    decay: int
    batch: int = 16
    learning_rate: float = 8e-4
    warm_up: int = 200
    seed: int = 0

    def rate(self, step: int) -> float:
        """Return the learning rate at a step: rising linearly, constant, falling linearly."""
        share = min(1.0, (step + 1) / self.warm_up, max(0.0, (self.steps - step) / max(self.decay, 1)))
        return self.learning_rate * share
