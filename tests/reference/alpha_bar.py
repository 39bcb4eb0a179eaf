"""Every sampler again, straight from its paper, in plain numpy float64 and in the papers' own coordinates.

Written without looking at `models/samplers.py`, which works on x = latents + sigma * noise; here z is the variance
preserving sample sqrt(alpha_bar) * latents + sqrt(1 - alpha_bar) * noise and levels are alpha_bar, ascending to the
last. A model is told (z, alpha_bar) and answers the noise that it sees. `draws` gives the random numbers in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Model = Callable[[Array, float], Array]


def ddim(z: Array, levels: Sequence[float], model: Model, draws: Iterator[Array], eta: float) -> Array:
    """arXiv:2010.02502 equations 12 and 16."""
    for a, a_prev in pairwise(levels):
        eps = model(z, a)
        deviation = eta * np.sqrt((1 - a_prev) / (1 - a)) * np.sqrt(1 - a / a_prev)
        predicted = (z - np.sqrt(1 - a) * eps) / np.sqrt(a)
        direction = np.sqrt(1 - a_prev - deviation**2) * eps
        z = np.sqrt(a_prev) * predicted + direction
        if deviation > 0:
            z = z + deviation * next(draws)
    return z


def ddpm(z: Array, levels: Sequence[float], model: Model, draws: Iterator[Array]) -> Array:
    """arXiv:2006.11239 algorithm 2 with the variance of equation 7; alpha_t is the ratio of neighbouring levels."""
    for a, a_prev in pairwise(levels):
        alpha = a / a_prev
        beta = 1 - alpha
        z = (z - beta / np.sqrt(1 - a) * model(z, a)) / np.sqrt(alpha)
        variance = (1 - a_prev) / (1 - a) * beta
        if variance > 0:
            z = z + np.sqrt(variance) * next(draws)
    return z


def euler(z: Array, levels: Sequence[float], model: Model) -> Array:
    """arXiv:2010.02502 equation 14: z / sqrt(alpha_bar) moves along the predicted noise."""
    for a, a_prev in pairwise(levels):
        moved = z / np.sqrt(a) + (np.sqrt(1 / a_prev - 1) - np.sqrt(1 / a - 1)) * model(z, a)
        z = np.sqrt(a_prev) * moved
    return z


def euler_ancestral(z: Array, levels: Sequence[float], model: Model, draws: Iterator[Array]) -> Array:
    """An Euler step to a level below the next, then noise whose variance makes up the difference."""
    for a, a_prev in pairwise(levels):
        var, var_next = 1 / a - 1, 1 / a_prev - 1
        var_up = var_next * (var - var_next) / var
        y = z / np.sqrt(a) + (np.sqrt(var_next - var_up) - np.sqrt(var)) * model(z, a)
        if var_up > 0:
            y = y + np.sqrt(var_up) * next(draws)
        z = np.sqrt(a_prev) * y
    return z


def heun(z: Array, levels: Sequence[float], model: Model) -> Array:
    """arXiv:2206.00364 algorithm 1, whose x is z / sqrt(alpha_bar) and whose slope is the predicted noise."""
    y = z / np.sqrt(levels[0])
    for a, a_prev in pairwise(levels):
        t, t_next = np.sqrt(1 / a - 1), np.sqrt(1 / a_prev - 1)
        slope = model(y * np.sqrt(a), a)
        y_next = y + (t_next - t) * slope
        if a_prev < 1:
            y_next = y + (t_next - t) * 0.5 * (slope + model(y_next * np.sqrt(a_prev), a_prev))
        y = y_next
    return np.asarray(np.sqrt(levels[-1]) * y)


def dpmpp_2m(z: Array, levels: Sequence[float], model: Model) -> Array:
    """arXiv:2211.01095 algorithm 2, in alpha, sigma and lambda; first order where it ends without noise."""
    buffer: list[Array] = []
    lambdas = [_half_log_snr(a) for a in levels]
    for i in range(1, len(levels)):
        a, a_prev = levels[i - 1], levels[i]
        buffer.append((z - np.sqrt(1 - a) * model(z, a)) / np.sqrt(a))
        h = lambdas[i] - lambdas[i - 1]
        data = _second_order(buffer, lambdas, i)
        z = np.sqrt((1 - a_prev) / (1 - a)) * z - np.sqrt(a_prev) * (np.exp(-h) - 1) * data
    return z


def dpmpp_2m_sde(z: Array, levels: Sequence[float], model: Model, draws: Iterator[Array]) -> Array:
    """arXiv:2211.01095, SDE-DPM-Solver++(2M): the exponential integrator of the diffusion SDE."""
    buffer: list[Array] = []
    lambdas = [_half_log_snr(a) for a in levels]
    for i in range(1, len(levels)):
        a, a_prev = levels[i - 1], levels[i]
        buffer.append((z - np.sqrt(1 - a) * model(z, a)) / np.sqrt(a))
        h = lambdas[i] - lambdas[i - 1]
        data = _second_order(buffer, lambdas, i)
        decay = np.sqrt((1 - a_prev) / (1 - a)) * np.exp(-h)
        z = decay * z + np.sqrt(a_prev) * (1 - np.exp(-2 * h)) * data
        if a_prev < 1:
            z = z + np.sqrt(1 - a_prev) * np.sqrt(1 - np.exp(-2 * h)) * next(draws)
    return z


def _half_log_snr(a: float) -> float:
    return float(np.log(np.sqrt(a) / np.sqrt(1 - a))) if a < 1 else np.inf


def _second_order(buffer: list[Array], lambdas: list[float], i: int) -> Array:
    """Line 7 of algorithm 2: (1 + 1/2r) D - 1/2r of the one before."""
    if len(buffer) < 2 or np.isinf(lambdas[i]):
        return buffer[-1]
    r = (lambdas[i - 1] - lambdas[i - 2]) / (lambdas[i] - lambdas[i - 1])
    return (1 + 1 / (2 * r)) * buffer[-1] - 1 / (2 * r) * buffer[-2]
