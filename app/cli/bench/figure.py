"""What a bench found: a value, how far its runs were apart, and what it should have been."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; of several runs their median, the least and the greatest. The last two are what is wanted."""

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_missed(self) -> bool:
        too_great = self.at_most is not None and not self.value <= self.at_most
        too_small = self.at_least is not None and not self.value >= self.at_least
        return too_great or too_small

    def __str__(self) -> str:
        spread = "" if self.low is None or self.high is None else f" ({self.low:.3f} to {self.high:.3f})"
        most = "" if self.at_most is None else f" [at most {self.at_most:g}]"
        least = "" if self.at_least is None else f" [at least {self.at_least:g}]"
        missed = " MISSED" if self.is_missed else ""
        return f"{self.name:<62} {self.value:>10.3f} {self.unit}{spread}{most}{least}{missed}"
