"""The schedules that are chosen apart from the sampler, against diffusers, k-diffusion's formulas and scipy."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy
import pytest
import torch

from models import curves
from models.noise import NoiseSource
from models.recipe import Sampler, Scheduler
from models.schedule import Schedule
from tests.models.test_samplers import DETERMINISTIC, drive, no_noise

STABLE_DIFFUSION: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
ZERO_SNR: dict[str, Any] = {**STABLE_DIFFUSION, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
SWITCHES = {
    Scheduler.KARRAS: "use_karras_sigmas",
    Scheduler.EXPONENTIAL: "use_exponential_sigmas",
}
FLOAT32 = 2e-6

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers
LOW, HIGH = 0.0292, 14.6146


@pytest.mark.parametrize("steps", [2, 7, 20, 60])
@pytest.mark.parametrize("scheduler", SWITCHES)
def test_its_levels_are_those_of_diffusers(scheduler: Scheduler, steps: int) -> None:
    from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler

    ours = Schedule.from_config(STABLE_DIFFUSION).sigmas(steps, scheduler)
    for theirs in (
        EulerDiscreteScheduler(**STABLE_DIFFUSION, **{SWITCHES[scheduler]: True}, timestep_spacing="linspace"),
        DPMSolverMultistepScheduler(**STABLE_DIFFUSION, **{SWITCHES[scheduler]: True}),
    ):
        theirs.set_timesteps(steps)
        numpy.testing.assert_allclose(ours, theirs.sigmas.numpy(), rtol=FLOAT32)


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 150])
def test_the_curves_are_their_formulas(steps: int) -> None:
    import scipy.stats

    ramp = numpy.linspace(0, 1, steps)
    roots = HIGH ** (1 / 7) + ramp * (LOW ** (1 / 7) - HIGH ** (1 / 7))
    numpy.testing.assert_allclose(curves.karras(steps, LOW, HIGH), roots**7)
    logs = numpy.linspace(math.log(HIGH), math.log(LOW), steps)
    numpy.testing.assert_allclose(curves.exponential(steps, LOW, HIGH), numpy.exp(logs))
    quantiles = scipy.stats.beta.ppf(1 - numpy.linspace(0, 1, steps, endpoint=False), 0.6, 0.6)
    numpy.testing.assert_allclose(curves.beta(steps, 999), 999 * quantiles)


def test_sgm_uniform_is_evenly_spaced_in_time_from_the_last_timestep() -> None:
    schedule = Schedule.from_config({**STABLE_DIFFUSION, "steps_offset": 1})
    table = ((1 - schedule.alphas_cumprod) / schedule.alphas_cumprod).sqrt().double().numpy()

    timesteps = numpy.linspace(999, 0, 21)[:-1]
    wanted = numpy.exp(numpy.interp(timesteps, numpy.arange(1000), numpy.log(table)))

    numpy.testing.assert_allclose(schedule.sigmas(20, Scheduler.SGM_UNIFORM), [*wanted, 0.0], rtol=FLOAT32)


def test_beta_places_timesteps_as_diffusers_places_levels() -> None:
    """diffusers spreads sigma by the distribution, where the paper spreads time: its function is given timesteps."""
    from diffusers import EulerDiscreteScheduler

    theirs = EulerDiscreteScheduler(**STABLE_DIFFUSION, use_beta_sigmas=True)
    timesteps = theirs._convert_to_beta(torch.tensor([999.0, 0.0]), 21)[:-1]
    schedule = Schedule.from_config(STABLE_DIFFUSION)

    assert [schedule.timestep(sigma) for sigma in schedule.sigmas(20, Scheduler.BETA)[:-1]] == pytest.approx(timesteps)


def test_sigma_undoes_timestep() -> None:
    schedule = Schedule.from_config(ZERO_SNR)
    assert [schedule.timestep(schedule.sigma(t)) for t in (0, 0.5, 17.25, 998.5, 999)] == pytest.approx(
        [0, 0.5, 17.25, 998.5, 999]
    )


@pytest.mark.parametrize("config", [STABLE_DIFFUSION, ZERO_SNR], ids=["plain", "zero-snr"])
@pytest.mark.parametrize("scheduler", Scheduler)
def test_levels_begin_at_the_highest_and_descend_to_zero(config: dict[str, Any], scheduler: Scheduler) -> None:
    schedule = Schedule.from_config(config)
    for steps in (1, 2, 3, 20, 150):
        sigmas = schedule.sigmas(steps, scheduler)
        assert len(sigmas) == steps + 1
        assert sigmas[-1] == 0
        assert all(later < earlier for earlier, later in pairwise(sigmas))
        if scheduler is not Scheduler.NORMAL:
            assert sigmas[0] == pytest.approx(schedule.sigma(999))


@pytest.mark.parametrize("scheduler", SWITCHES)
def test_with_zero_terminal_snr_one_step_is_taken_from_pure_noise(scheduler: Scheduler) -> None:
    sigmas = Schedule.from_config(ZERO_SNR).sigmas(20, scheduler)
    curve = Schedule.from_config(STABLE_DIFFUSION).sigmas(19, scheduler)

    assert sigmas[0] == pytest.approx(4096)
    assert sigmas[1] == pytest.approx(curve[0]) == pytest.approx(14.6146, rel=1e-4)
    assert sigmas[-2] == pytest.approx(Schedule.from_config(ZERO_SNR).sigma(0))


@pytest.mark.parametrize("scheduler", Scheduler)
@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_from_pure_noise_every_sampler_comes_near_the_exact_solution(sampler: Sampler, scheduler: Scheduler) -> None:
    """For pictures of one mean and spread the denoiser and the ODE's solution are known (arXiv:2206.00364 eq. 3)."""
    mean, spread = 1.0, 2.0
    sigmas = Schedule.from_config(ZERO_SNR).sigmas(20, scheduler)
    x = NoiseSource(1, (1, 4, 8, 8))().double() * sigmas[0]
    wanted = mean + (x - mean) * spread / math.hypot(spread, sigmas[0])

    found = drive(
        sampler, x, sigmas, lambda x, sigma: (x * spread**2 + mean * sigma**2) / (spread**2 + sigma**2), no_noise
    )

    assert float((found - wanted).norm() / wanted.norm()) < 0.15


@pytest.mark.parametrize("steps", [0, 1001])
@pytest.mark.parametrize("scheduler", Scheduler)
def test_every_schedule_refuses_steps_that_the_checkpoint_has_not(scheduler: Scheduler, steps: int) -> None:
    with pytest.raises(ValueError, match=f"steps is {steps}; this checkpoint's schedule allows 1 to 1000"):
        Schedule.from_config({}).sigmas(steps, scheduler)
