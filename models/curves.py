"""Ways to spread noise levels or timesteps over a number of steps: mathematics only."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

RHO = 7.0  # arXiv:2206.00364 section 3
SHAPE = 0.6  # both parameters of the beta distribution, arXiv:2407.12173
PRECISION = 1e-15
REMEMBERED = 64

Curve = Callable[[int, float, float], list[float]]  # steps, lowest, highest level -> levels, descending, both in them


def karras(steps: int, low: float, high: float) -> list[float]:
    """arXiv:2206.00364 equation 5: evenly in the seventh root, so that most steps are at low levels."""
    return [(high ** (1 / RHO) + share * (low ** (1 / RHO) - high ** (1 / RHO))) ** RHO for share in _shares(steps)]


def exponential(steps: int, low: float, high: float) -> list[float]:
    """Evenly in the logarithm, as k-diffusion's `get_sigmas_exponential`."""
    return [math.exp(math.log(high) + share * math.log(low / high)) for share in _shares(steps)]


def beta(steps: int, last: float) -> list[float]:
    """Return timesteps from `last` down, by a beta distribution, so that most are near both ends: arXiv:2407.12173."""
    return [last * _beta_quantile(1 - index / steps) for index in range(steps)]


def _shares(steps: int) -> list[float]:
    return [index / max(steps - 1, 1) for index in range(steps)]


@lru_cache(maxsize=REMEMBERED * REMEMBERED)
def _beta_quantile(probability: float) -> float:
    """Where the distribution function of Beta(`SHAPE`, `SHAPE`) has this value, by bisection."""
    if probability in (0.0, 0.5, 1.0):
        return probability
    if probability > 0.5:
        return 1 - _beta_quantile(1 - probability)
    low, high = 0.0, 0.5
    while high - low > PRECISION * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _beta_distribution(middle) < probability else (low, middle)
    return high


def _beta_distribution(x: float) -> float:
    """The regularised incomplete beta function for x up to a half, by its series (DLMF 8.17.8)."""
    term, total, n = 1.0, 1.0, 0
    while term > PRECISION * total:
        term *= (2 * SHAPE + n) / (SHAPE + 1 + n) * x
        total, n = total + term, n + 1
    complete = math.gamma(SHAPE) ** 2 / math.gamma(2 * SHAPE)
    return math.pow(x * (1 - x), SHAPE) / (SHAPE * complete) * total
