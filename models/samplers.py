"""Ways to walk from noise to latents: mathematics only.

A sampler is a generator over noise levels. It yields `(x, sigma)` with x = latents + sigma * noise, is sent the
latents that the network predicts there (the denoised x, same shape), and returns the x of the last level. It does not
know the network, the prediction type, guidance or timesteps (`denoise.py`).

`sigmas` descend and end at 0 or, for some checkpoints, at a small level; `noise()` is drawn once for each stochastic
step that ends above 0, in order. All coefficients are Python floats; a reply is never changed in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import pairwise

from torch import Tensor

PURE_NOISE = 1000.0  # a level at which latents are less than a millionth of the variance

Noise = Callable[[], Tensor]
Steps = Generator[tuple[Tensor, float], Tensor, Tensor]
SamplerFunction = Callable[[Tensor, Sequence[float], Noise, float], Steps]


def ddim(x: Tensor, sigmas: Sequence[float], noise: Noise, eta: float = 0.0) -> Steps:
    """DDIM, arXiv:2010.02502 equations 12 and 16: Euler's method at eta 0, ancestral sampling at eta 1."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        fresh = eta * math.sqrt(1 - (sigma_next / sigma) ** 2)
        x = denoised + (x - denoised) * (math.sqrt(1 - fresh**2) * sigma_next / sigma)
        if fresh * sigma_next > 0:
            x = x + noise() * (fresh * sigma_next)
    return x


def ddpm(x: Tensor, sigmas: Sequence[float], noise: Noise, _eta: float = 0.0) -> Steps:
    """DDPM, arXiv:2006.11239 algorithm 2 with the variance of equation 7, also where timesteps are left out."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        x = _posterior(x, denoised, sigma, sigma_next, noise)
    return x


def euler(x: Tensor, sigmas: Sequence[float], noise: Noise, _eta: float = 0.0) -> Steps:
    """Euler's method on the probability flow ODE, arXiv:2206.00364 algorithm 1 without its second-order part."""
    return ddim(x, sigmas, noise)


def euler_ancestral(x: Tensor, sigmas: Sequence[float], noise: Noise, _eta: float = 0.0) -> Steps:
    """Euler steps below the next level, then fresh noise up to it: k-diffusion's name for DDIM at eta 1."""
    return ddim(x, sigmas, noise, 1.0)


def heun(x: Tensor, sigmas: Sequence[float], _noise: Noise, _eta: float = 0.0) -> Steps:
    """Heun's second-order method, arXiv:2206.00364 algorithm 1: two predictions a step, one where it ends at 0.

    A step from pure noise (zero terminal SNR) has one too: the slope where it ends, taken over all of so long a step,
    would magnify the difference of the two predictions by half the ratio of the levels, a hundredfold.
    """
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        slope = (x - denoised) / sigma
        ahead = x + slope * (sigma_next - sigma)
        if sigma_next > 0 and sigma < PURE_NOISE:
            denoised = yield ahead, sigma_next
            slope = (slope + (ahead - denoised) / sigma_next) / 2
            ahead = x + slope * (sigma_next - sigma)
        x = ahead
    return x


def dpmpp_2m(x: Tensor, sigmas: Sequence[float], _noise: Noise, _eta: float = 0.0) -> Steps:
    """DPM-Solver++(2M), arXiv:2211.01095 algorithm 2: second order from the last two predictions.

    The first step has no earlier prediction and a step to 0 has no finite length in log sigma: both are first order.
    """
    earlier, length_before = None, 0.0
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        length = math.log(sigma / sigma_next) if sigma_next > 0 else math.inf
        target = _extrapolated(denoised, earlier, length, length_before)
        x = target + (x - target) * (sigma_next / sigma)
        earlier, length_before = denoised, length
    return x


def dpmpp_2m_sde(x: Tensor, sigmas: Sequence[float], noise: Noise, _eta: float = 0.0) -> Steps:
    """SDE-DPM-Solver++(2M), arXiv:2211.01095 midpoint form.

    The same as k-diffusion's `dpmpp_2m_sde` (midpoint, eta 1) and diffusers' `sde-dpmsolver++` with independent noise
    at each step. First order where `dpmpp_2m` is.
    """
    earlier, length_before = None, 0.0
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        length = math.log(sigma / sigma_next) if sigma_next > 0 else math.inf
        target = _extrapolated(denoised, earlier, length, length_before)
        x = _posterior(x, target, sigma, sigma_next, noise)
        earlier, length_before = denoised, length
    return x


def _posterior(x: Tensor, denoised: Tensor, sigma: float, sigma_next: float, noise: Noise) -> Tensor:
    """Draw from q(x at sigma_next | x at sigma, denoised), arXiv:2006.11239 equation 6 in these coordinates."""
    kept = (sigma_next / sigma) ** 2
    x = denoised + (x - denoised) * kept
    if 0 < kept < 1:
        x = x + noise() * (sigma_next * math.sqrt(1 - kept))
    return x


def _extrapolated(denoised: Tensor, earlier: Tensor | None, length: float, length_before: float) -> Tensor:
    """Return the prediction at the middle of the coming step, on the line through the last two (in log sigma)."""
    if earlier is None or math.isinf(length):
        return denoised
    return denoised + (denoised - earlier) * (length / (2 * length_before))


SAMPLERS: Mapping[str, SamplerFunction] = {  # keys are the values of `models.recipe.Sampler`
    "ddim": ddim,
    "ddpm": ddpm,
    "euler": euler,
    "euler_a": euler_ancestral,
    "heun": heun,
    "dpmpp_2m": dpmpp_2m,
    "dpmpp_2m_sde": dpmpp_2m_sde,
}
