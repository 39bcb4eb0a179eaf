"""How many rows a U-Net call may have: by the device's knee, by its memory, and by experience.

Beyond the knee more rows bring hardly more steps a second, but each step, and so each join, cancel and preview, comes
later. It is known as operations a call (`knee.py` measures it), so that small pictures get more rows than large ones.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field

from models.bundle import Bundle

MAX_ROWS = 64
ROWS_UNMEASURED = 16  # of the checkpoint's own size: enough for any device that was measured, and not yet slow
LEAST_ROWS = 2  # those of one picture with guidance


@dataclass
class Limits:
    """`memory` are bytes for what is under way, beside the networks; None means without end.

    `knees` are operations a call by checkpoint's fingerprint; `max_rows` bounds the rows whatever they cost.
    """

    max_rows: int = MAX_ROWS
    memory: int | None = None
    knees: dict[str, float] = field(default_factory=dict)
    _found_too_many: dict[Hashable, int] = field(default_factory=dict)

    def rows(self, key: Hashable, bundle: Bundle, latents: tuple[int, int], cost: float) -> int:
        """Rows that a call of this key may have, each of which costs so many operations."""
        most = self.max_rows
        most = min(most, max(LEAST_ROWS, math.floor(self._knee(bundle) / cost)))
        if self.memory is not None:
            most = min(most, max(LEAST_ROWS, self.memory // bundle.costs.row_bytes(*latents)))
        return min(most, self._found_too_many.get(key, most))

    def found_too_many(self, key: Hashable, rows: int) -> None:
        """The device ran out of memory; calls of this key get at most so many rows from now on."""
        self._found_too_many[key] = rows

    def forget(self) -> None:
        """Nothing is under way, so what was too many may not be so again."""
        self._found_too_many.clear()

    def _knee(self, bundle: Bundle) -> float:
        return self.knees.get(bundle.fingerprint, ROWS_UNMEASURED * native_row(bundle))


def native_row(bundle: Bundle) -> float:
    """Operations of a row at the checkpoint's own size."""
    config = bundle.config
    return bundle.costs.row(config.height // config.vae_factor, config.width // config.vae_factor)
