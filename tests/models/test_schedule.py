from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch

from models.noise import NoiseSource
from models.schedule import Schedule

FLOAT32 = 1e-6
SHAPE = (1, 4, 3, 2)
STABLE_DIFFUSION = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
BETA_SCHEDULES = ["linear", "scaled_linear", "squaredcos_cap_v2"]
SPACINGS = ["leading", "trailing", "linspace"]


@pytest.mark.parametrize("beta_schedule", BETA_SCHEDULES)
def test_its_table_is_that_of_diffusers(beta_schedule: str) -> None:
    from diffusers import DDIMScheduler

    config = {"beta_schedule": beta_schedule, "beta_start": 0.0008, "beta_end": 0.013, "num_train_timesteps": 900}

    assert torch.equal(Schedule.from_config(config).alphas_cumprod, DDIMScheduler(**config).alphas_cumprod)


@pytest.mark.parametrize("beta_schedule", BETA_SCHEDULES)
def test_zero_terminal_snr_is_that_of_diffusers_but_for_a_finite_end(beta_schedule: str) -> None:
    from diffusers import DDIMScheduler

    config = {"beta_schedule": beta_schedule, "rescale_betas_zero_snr": True}
    schedule, theirs = Schedule.from_config(config), DDIMScheduler(**config).alphas_cumprod

    # diffusers goes back to betas, where float32 loses digits of what is nearly 0
    torch.testing.assert_close(schedule.alphas_cumprod[:-1], theirs[:-1], rtol=1e-5, atol=1e-9)
    assert 0 < float(schedule.alphas_cumprod[-1]) <= 2**-24
    assert all(later < earlier for earlier, later in pairwise(schedule.alphas_cumprod.tolist()))


def test_zero_terminal_snr_ends_at_the_sigma_of_diffusers_euler() -> None:
    from diffusers import EulerDiscreteScheduler

    config: dict[str, Any] = {**STABLE_DIFFUSION, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}

    sigma = Schedule.from_config(config).sigmas(20)[0]

    assert sigma == pytest.approx(math.sqrt(2**24 - 1))
    assert sigma == pytest.approx(float(EulerDiscreteScheduler(**config).sigmas[0]), rel=FLOAT32)


def test_betas_that_the_checkpoint_lists_are_used() -> None:
    schedule = Schedule.from_config({"trained_betas": [0.1, 0.2, 0.3]})

    assert schedule.alphas_cumprod.tolist() == pytest.approx([0.9, 0.72, 0.504])


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_its_timesteps_are_those_of_diffusers(spacing: str, offset: int) -> None:
    from diffusers import DDIMScheduler

    config: dict[str, Any] = {"timestep_spacing": spacing, "steps_offset": offset}
    schedule, theirs = Schedule.from_config(config), DDIMScheduler(**config)

    for steps in range(1, 151):
        theirs.set_timesteps(steps)
        # diffusers sometimes adds a timestep -1 that nobody asked for: trailing, 61 steps
        assert schedule.timesteps(steps) == theirs.timesteps.tolist()[:steps]


def test_fifty_steps_of_stable_diffusion_1() -> None:
    assert Schedule.from_config({**STABLE_DIFFUSION, "steps_offset": 1}).timesteps(50) == list(range(981, 0, -20))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_sigmas_descend_to_zero(spacing: str) -> None:
    sigmas = Schedule.from_config({**STABLE_DIFFUSION, "timestep_spacing": spacing}).sigmas(30)

    assert len(sigmas) == 31
    assert sigmas[-1] == 0
    assert all(isinstance(sigma, float) for sigma in sigmas)
    assert all(later < earlier for earlier, later in pairwise(sigmas))


def test_sigmas_end_at_timestep_zero_where_the_checkpoint_says_so() -> None:
    schedule = Schedule.from_config({**STABLE_DIFFUSION, "steps_offset": 1, "set_alpha_to_one": False})

    assert schedule.sigmas(20)[-1] == pytest.approx(math.sqrt(0.00085 / (1 - 0.00085)), rel=1e-4)


@pytest.mark.parametrize("zero_snr", [True, False])
@pytest.mark.parametrize("beta_schedule", BETA_SCHEDULES)
def test_the_timestep_of_a_sigma_of_the_table_is_exact(beta_schedule: str, zero_snr: bool) -> None:
    schedule = Schedule.from_config({"beta_schedule": beta_schedule, "rescale_betas_zero_snr": zero_snr})

    assert [schedule.timestep(sigma) for sigma in schedule.sigmas(1000)[:-1]] == list(range(999, -1, -1))


def test_the_timestep_between_two_is_interpolated_in_log_sigma() -> None:
    schedule = Schedule.from_config(STABLE_DIFFUSION)
    later, earlier = schedule.sigmas(1000)[499:501]

    assert schedule.timestep(math.sqrt(later * earlier)) == pytest.approx(499.5)


def test_a_sigma_beyond_the_table_has_the_timestep_of_its_end() -> None:
    schedule = Schedule.from_config(STABLE_DIFFUSION)

    assert schedule.timestep(1000.0) == 999
    assert schedule.timestep(0.0) == 0


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("sigma", [0.03, 1.0, 14.6])
def test_a_perfect_prediction_gives_back_the_latents(prediction_type: str, sigma: float) -> None:
    draw = NoiseSource(1, SHAPE)
    latents, noise = draw().double(), draw().double()
    schedule = Schedule.from_config({**STABLE_DIFFUSION, "prediction_type": prediction_type})
    alpha = 1 / (1 + sigma**2)
    perfect = {
        "epsilon": noise,
        "v_prediction": math.sqrt(alpha) * noise - math.sqrt(1 - alpha) * latents,
        "sample": latents,
    }

    denoised = schedule.denoised(schedule.add_noise(latents, noise, sigma), sigma, perfect[prediction_type])

    torch.testing.assert_close(denoised, latents)


def test_the_network_first_sees_the_plain_noise() -> None:
    noise = NoiseSource(1, SHAPE)()

    x = Schedule.from_config(STABLE_DIFFUSION).start(noise, 14.6)

    torch.testing.assert_close(x / math.sqrt(14.6**2 + 1), noise)


@pytest.mark.parametrize(
    ("field", "value"), [("beta_schedule", "sigmoid"), ("prediction_type", "flow"), ("timestep_spacing", "karras")]
)
def test_it_names_the_field_that_it_does_not_know(field: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is '{value}'; known are"):
        Schedule.from_config({field: value})


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_it_refuses_more_steps_than_it_has(steps: int) -> None:
    with pytest.raises(ValueError, match=f"steps is {steps}; this checkpoint's schedule allows 1 to 1000"):
        Schedule.from_config({}).timesteps(steps)


def test_it_refuses_steps_that_the_offset_pushes_out_of_the_table() -> None:
    with pytest.raises(ValueError, match="steps_offset 1"):
        Schedule.from_config({"steps_offset": 1}).timesteps(1000)
