"""The noise schedule that a checkpoint was trained with, and what its network's output means.

Knows which timesteps and noise levels belong to a number of steps, and how to turn a raw prediction into the denoised
latents. Does not know how a sampler steps from one level to the next (`samplers.py`).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, assert_never, cast, get_args

import torch
from torch import Tensor

from models.curves import Curve, beta, exponential, karras
from models.recipe import Scheduler

PredictionType = Literal["epsilon", "v_prediction", "sample"]
TimestepSpacing = Literal["leading", "trailing", "linspace"]

TERMINAL_ALPHA = 2.0**-24  # instead of 0, so that the last sigma is 4096 and not infinite
MAX_BETA = 0.999  # arXiv:2102.09672 section 3.2


@dataclass(frozen=True, eq=False)
class Schedule:
    """Noise levels of `len(alphas_cumprod)` training timesteps, with sigma = sqrt((1 - alpha) / alpha).

    `alphas_cumprod` (T,) is float32, descending, above 0. Samplers work on x = latents + sigma * noise; the network
    sees x / sqrt(sigma^2 + 1). `set_alpha_to_one` false ends at the sigma of timestep 0 instead of at 0.
    `curve_top` is the highest level of schedules that are curves over sigma, where that is not the highest of all:
    with zero terminal SNR.
    """

    alphas_cumprod: Tensor
    prediction_type: PredictionType = "epsilon"
    timestep_spacing: TimestepSpacing = "leading"
    steps_offset: int = 0
    set_alpha_to_one: bool = True
    curve_top: float | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Schedule:
        """Read a diffusers `scheduler_config.json`; what is absent has the default of diffusers' `DDIMScheduler`.

        `clip_sample` and `thresholding` are for models of pixels and ignored: latents are not bounded by 1.
        Raises `ValueError`, which names the field, for a value that is not known.
        """
        alphas_cumprod = torch.cumprod(1 - _betas(config), dim=0)
        curve_top = None
        if config.get("rescale_betas_zero_snr", False):
            curve_top = _sigma(float(alphas_cumprod[-1]))
            alphas_cumprod = _rescale_to_zero_terminal_snr(alphas_cumprod)
        return cls(
            alphas_cumprod=alphas_cumprod,
            prediction_type=cast(PredictionType, _choice(config, "prediction_type", PredictionType, "epsilon")),
            timestep_spacing=cast(TimestepSpacing, _choice(config, "timestep_spacing", TimestepSpacing, "leading")),
            steps_offset=int(config.get("steps_offset", 0)),
            set_alpha_to_one=bool(config.get("set_alpha_to_one", True)),
            curve_top=curve_top,
        )

    @cached_property
    def _table(self) -> list[float]:
        """Sigma of each training timestep, ascending."""
        return [_sigma(alpha) for alpha in self.alphas_cumprod.tolist()]

    def timesteps(self, steps: int) -> list[int]:
        """Choose the training timesteps of so many steps, descending (arXiv:2305.08891 table 2)."""
        total = len(self._table)
        self._check(steps)
        match self.timestep_spacing:
            case "leading":
                chosen = [i * (total // steps) + self.steps_offset for i in reversed(range(steps))]
            case "trailing":
                spacing = total - (total - total / steps)  # as numpy.arange has it, so that halves round alike
                chosen = [round(total - i * spacing) - 1 for i in range(steps)]
            case "linspace":
                chosen = [round(i * ((total - 1) / max(steps - 1, 1))) for i in reversed(range(steps))]
            case _:
                assert_never(self.timestep_spacing)
        if chosen[0] >= total:
            raise ValueError(f"steps is {steps}; with the checkpoint's steps_offset {self.steps_offset} it is too many")
        return chosen

    def _check(self, steps: int) -> None:
        total = len(self._table)
        if not 1 <= steps <= total:
            raise ValueError(f"steps is {steps}; this checkpoint's schedule allows 1 to {total}")

    def sigmas(self, steps: int, scheduler: Scheduler = Scheduler.NORMAL) -> list[float]:
        """Return the noise level of each step, then the level to end at: `steps + 1` values, descending.

        `NORMAL` is as the checkpoint's scheduler file says. The others end at 0 whatever it says: `SGM_UNIFORM` is
        evenly spaced in time from the last timestep, `BETA` by the beta distribution, and the rest are curves over
        sigma (`curves.py`). With zero terminal SNR, where the last level is 4096, a curve would spend most of its
        steps on levels that are noise alone: there the first step is taken at that level and the curve, a step
        shorter, begins at the level where the checkpoint's betas ended before they were rescaled.
        """
        self._check(steps)
        match scheduler:
            case Scheduler.NORMAL:
                return self._own_sigmas(steps)
            case Scheduler.SGM_UNIFORM:
                last = len(self._table) - 1
                return [*(self.sigma(last * (1 - index / steps)) for index in range(steps)), 0.0]
            case Scheduler.KARRAS:
                return self._along(karras, steps)
            case Scheduler.EXPONENTIAL:
                return self._along(exponential, steps)
            case Scheduler.BETA:
                return [*(self.sigma(timestep) for timestep in beta(steps, len(self._table) - 1)), 0.0]
            case _:
                assert_never(scheduler)

    def _along(self, curve: Curve, steps: int) -> list[float]:
        low, high = self._table[0], self._table[-1]
        if self.curve_top is None:
            return [*curve(steps, low, high), 0.0]
        return [high, *curve(steps - 1, low, self.curve_top), 0.0]

    def _own_sigmas(self, steps: int) -> list[float]:
        """The noise level of each of `timesteps(steps)`, then the level to end at.

        Each step ends where the next begins. diffusers' DDIM instead always moves by T // steps timesteps, which is
        the same for leading and wherever steps divide T; else (trailing, 30 steps; any linspace) its steps end beside
        the level that it then assumes, and pictures differ by a few levels of 255.
        The last two are equal where a schedule that ends at timestep 0's sigma has timestep 0 among its steps:
        that step changes nothing, here as in diffusers.
        """
        return [*(self._table[t] for t in self.timesteps(steps)), 0.0 if self.set_alpha_to_one else self._table[0]]

    def sigma(self, timestep: float) -> float:
        """Return the noise level of a training timestep, interpolated in log sigma; undoes `timestep`."""
        before = min(int(timestep), len(self._table) - 2)
        low, high = math.log(self._table[before]), math.log(self._table[before + 1])
        return math.exp(low + (timestep - before) * (high - low))

    def timestep(self, sigma: float) -> float:
        """Return the training timestep of a noise level, interpolated in log sigma and exact for `sigmas`."""
        after = bisect_left(self._table, sigma)
        if after == len(self._table):
            return float(after - 1)
        if after == 0 or self._table[after] == sigma:
            return float(after)
        low, high = math.log(self._table[after - 1]), math.log(self._table[after])
        return after - 1 + (math.log(sigma) - low) / (high - low)

    def start(self, noise: Tensor, sigma: float) -> Tensor:
        """Return the x to begin with at the first level: the network then sees the plain noise, as DDIM's does."""
        return noise * math.sqrt(sigma**2 + 1)

    def add_noise(self, latents: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Return the x of known latents at a noise level."""
        return latents + noise * sigma

    def denoised(self, x: Tensor, sigma: float, prediction: Tensor) -> Tensor:
        """Turn the network's raw output at x into the latents that it predicts.

        epsilon is the noise (arXiv:2006.11239); v is sqrt(alpha) * noise - sqrt(1 - alpha) * latents
        (arXiv:2202.00512 appendix D); sample is the latents themselves.
        """
        match self.prediction_type:
            case "epsilon":
                return x - prediction * sigma
            case "v_prediction":
                return x / (sigma**2 + 1) - prediction * (sigma / math.sqrt(sigma**2 + 1))
            case "sample":
                return prediction
            case _:
                assert_never(self.prediction_type)


def _sigma(alpha: float) -> float:
    return math.sqrt((1 - alpha) / alpha)


def _betas(config: Mapping[str, Any]) -> Tensor:
    """Return the variance added at each training timestep, (T,) float32."""
    if config.get("trained_betas") is not None:
        return torch.tensor(config["trained_betas"], dtype=torch.float32)
    start, end = float(config.get("beta_start", 0.0001)), float(config.get("beta_end", 0.02))
    total = int(config.get("num_train_timesteps", 1000))
    match config.get("beta_schedule", "linear"):
        case "linear":
            return torch.linspace(start, end, total)
        case "scaled_linear":
            return torch.linspace(math.sqrt(start), math.sqrt(end), total) ** 2
        case "squaredcos_cap_v2":
            return _cosine_betas(total)
        case other:
            raise ValueError(f"beta_schedule is {other!r}; known are linear, scaled_linear and squaredcos_cap_v2")


def _cosine_betas(total: int) -> Tensor:
    """arXiv:2102.09672 equation 17."""
    alphas = [math.cos((i / total + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(total + 1)]
    return torch.tensor([min(1 - alphas[i + 1] / alphas[i], MAX_BETA) for i in range(total)])


def _rescale_to_zero_terminal_snr(alphas_cumprod: Tensor) -> Tensor:
    """arXiv:2305.08891 algorithm 1, then `TERMINAL_ALPHA`, or less if it must, in place of the zero at the end."""
    roots = alphas_cumprod.sqrt()
    first, last = roots[0], roots[-1]
    rescaled = ((roots - last) * (first / (first - last))).square()[:-1]
    return torch.cat([rescaled, (rescaled[-1:] / 2).clamp(max=TERMINAL_ALPHA)])


def _choice(config: Mapping[str, Any], field: str, kind: Any, default: str) -> str:
    known = get_args(kind)
    value = config.get(field, default)
    if value not in known:
        raise ValueError(f"{field} is {value!r}; known are {', '.join(known)}")
    return str(value)
