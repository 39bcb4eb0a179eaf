"""Each sampler: against its paper in other coordinates, against diffusers, and where the answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.noise import NoiseSource
from models.recipe import Sampler
from models.samplers import SAMPLERS, Noise
from models.schedule import Schedule
from tests.reference import alpha_bar

SHAPE = (1, 4, 8, 8)
EXACT = 1e-9  # both sides in float64
FLOAT32 = 2e-5  # of the largest value, after 20 steps in float32 on both sides
STABLE_DIFFUSION = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
STOCHASTIC = [Sampler.DDPM, Sampler.EULER_ANCESTRAL, Sampler.DPMPP_2M_SDE]
DETERMINISTIC = [Sampler.DDIM, Sampler.EULER, Sampler.HEUN, Sampler.DPMPP_2M]

Denoiser = Callable[[Tensor, float], Tensor]


def drive(
    sampler: Sampler, x: Tensor, sigmas: Sequence[float], denoiser: Denoiser, noise: Noise, eta: float = 0.0
) -> Tensor:
    steps = SAMPLERS[sampler](x, sigmas, noise, eta)
    try:
        x, sigma = next(steps)
        while True:
            x, sigma = steps.send(denoiser(x, sigma))
    except StopIteration as finished:
        result: Tensor = finished.value
        return result


def predicted_noise(sample: Any, alpha: float, tanh: Callable[[Any], Any]) -> Any:
    """A network that is far from linear, on tensors and arrays alike."""
    return tanh(1.3 * sample + 0.2) * (0.6 + 0.4 * alpha) - 0.1 * sample


def nonlinear_denoiser(x: Tensor, sigma: float) -> Tensor:
    alpha = 1 / (1 + sigma**2)
    noise: Tensor = predicted_noise(x * math.sqrt(alpha), alpha, torch.tanh)
    return x - sigma * noise


def no_noise() -> Tensor:
    raise AssertionError("a deterministic sampler drew noise")


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("set_alpha_to_one", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 7, 20])
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("sampler", list(Sampler))
def test_it_agrees_with_its_paper(sampler: Sampler, eta: float, steps: int, set_alpha_to_one: bool) -> None:
    schedule = Schedule.from_config(
        {**STABLE_DIFFUSION, "steps_offset": 1, "set_alpha_to_one": set_alpha_to_one, "timestep_spacing": "leading"}
    )
    sigmas = schedule.sigmas(steps)
    levels = [1 / (1 + sigma**2) for sigma in sigmas]
    draws = [NoiseSource(5, SHAPE)().double() * (1 + i / 10) for i in range(steps + 1)]
    start = draws[0]

    ours = drive(sampler, start / math.sqrt(levels[0]), sigmas, nonlinear_denoiser, iter(draws[1:]).__next__, eta)

    theirs = reference(sampler, start.numpy(), levels, iter([draw.numpy() for draw in draws[1:]]), eta)
    np.testing.assert_allclose(ours.numpy() * math.sqrt(levels[-1]), theirs, rtol=EXACT, atol=EXACT)


def reference(
    sampler: Sampler, z: alpha_bar.Array, levels: Sequence[float], draws: Iterator[alpha_bar.Array], eta: float
) -> alpha_bar.Array:
    def model(z: alpha_bar.Array, alpha: float) -> alpha_bar.Array:
        return np.asarray(predicted_noise(z, alpha, np.tanh))

    match sampler:
        case Sampler.DDIM:
            return alpha_bar.ddim(z, levels, model, draws, eta)
        case Sampler.DDPM:
            return alpha_bar.ddpm(z, levels, model, draws)
        case Sampler.EULER:
            return alpha_bar.euler(z, levels, model)
        case Sampler.EULER_ANCESTRAL:
            return alpha_bar.euler_ancestral(z, levels, model, draws)
        case Sampler.HEUN:
            return alpha_bar.heun(z, levels, model)
        case Sampler.DPMPP_2M:
            return alpha_bar.dpmpp_2m(z, levels, model)
        case Sampler.DPMPP_2M_SDE:
            return alpha_bar.dpmpp_2m_sde(z, levels, model, draws)


def by_diffusers(scheduler: Any, x: Tensor, generator: torch.Generator, *, scaled: bool, **options: Any) -> Tensor:
    """Walk with one of diffusers' schedulers; `scaled` ones keep x as we do, others the unit-variance sample."""
    import diffusers

    for timestep in scheduler.timesteps:
        alpha = float(scheduler.alphas_cumprod[int(timestep)])
        prediction = predicted_noise(scheduler.scale_model_input(x, timestep) if scaled else x, alpha, torch.tanh)
        if not isinstance(scheduler, (diffusers.EulerDiscreteScheduler, diffusers.HeunDiscreteScheduler)):
            options["generator"] = generator
        x = scheduler.step(prediction, timestep, x, **options).prev_sample
    return x


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:diffusers")
@pytest.mark.parametrize("steps", [4, 20])
@pytest.mark.parametrize(
    ("sampler", "theirs", "settings"),
    [
        (Sampler.EULER, "EulerDiscreteScheduler", {}),
        (Sampler.EULER_ANCESTRAL, "EulerAncestralDiscreteScheduler", {}),
        (Sampler.HEUN, "HeunDiscreteScheduler", {}),
        (Sampler.DPMPP_2M, "DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
        (Sampler.DPMPP_2M_SDE, "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    ],
)
def test_it_agrees_with_diffusers_on_its_levels(
    sampler: Sampler, theirs: str, settings: dict[str, Any], steps: int
) -> None:
    import diffusers

    scheduler = getattr(diffusers, theirs)(**STABLE_DIFFUSION, timestep_spacing="trailing", **settings)
    scheduler.set_timesteps(steps)
    sigmas = list(dict.fromkeys(scheduler.sigmas.tolist()))  # Heun's are doubled
    noise = NoiseSource(3, SHAPE)
    start = noise()
    generator = torch.Generator("cpu").manual_seed(3)
    torch.randn(SHAPE, generator=generator)  # the initial noise
    scaled = theirs != "DPMSolverMultistepScheduler"
    x = start * math.sqrt(sigmas[0] ** 2 + 1)

    ours = drive(sampler, x, sigmas, nonlinear_denoiser, noise)

    assert relative(ours, by_diffusers(scheduler, x if scaled else start, generator, scaled=scaled)) < FLOAT32


@pytest.mark.parametrize("set_alpha_to_one", [True, False])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_agrees_with_diffusers(eta: float, spacing: str, set_alpha_to_one: bool) -> None:
    import diffusers

    config = {**STABLE_DIFFUSION, "timestep_spacing": spacing, "set_alpha_to_one": set_alpha_to_one}
    scheduler, schedule = diffusers.DDIMScheduler(**config, clip_sample=False), Schedule.from_config(config)
    scheduler.set_timesteps(20)
    noise, sigmas = NoiseSource(3, SHAPE), schedule.sigmas(20)
    start = noise()
    generator = torch.Generator("cpu").manual_seed(3)
    torch.randn(SHAPE, generator=generator)

    ours = drive(Sampler.DDIM, schedule.start(start, sigmas[0]), sigmas, nonlinear_denoiser, noise, eta)

    theirs = by_diffusers(scheduler, start, generator, scaled=False, eta=eta)
    assert relative(ours / math.sqrt(sigmas[-1] ** 2 + 1), theirs) < FLOAT32


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("steps", [10, 1000])
def test_ddpm_agrees_with_diffusers(steps: int, spacing: str) -> None:
    import diffusers

    config = {**STABLE_DIFFUSION, "timestep_spacing": spacing}
    scheduler, schedule = diffusers.DDPMScheduler(**config, clip_sample=False), Schedule.from_config(config)
    scheduler.set_timesteps(steps)
    noise, sigmas = NoiseSource(3, SHAPE), schedule.sigmas(steps)
    start = noise()
    generator = torch.Generator("cpu").manual_seed(3)
    torch.randn(SHAPE, generator=generator)

    ours = drive(Sampler.DDPM, schedule.start(start, sigmas[0]), sigmas, nonlinear_denoiser, noise)

    assert relative(ours, by_diffusers(scheduler, start, generator, scaled=False)) < FLOAT32 * max(1, steps / 20)


@pytest.mark.parametrize("sampler", list(Sampler))
@pytest.mark.parametrize("steps", [1, 2, 20])
def test_it_ends_on_the_only_picture_that_there_is(sampler: Sampler, steps: int) -> None:
    picture = NoiseSource(1, SHAPE)().double()
    noise = NoiseSource(2, SHAPE)
    sigmas = Schedule.from_config(STABLE_DIFFUSION).sigmas(steps)

    latents = drive(sampler, noise() * sigmas[0], sigmas, lambda *_: picture, noise, 0.5)

    assert relative(latents, picture) < EXACT


@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_it_is_exact_down_to_a_level_where_the_answer_does_not_change(sampler: Sampler) -> None:
    picture, x = NoiseSource(1, SHAPE)().double(), NoiseSource(2, SHAPE)().double() * 14
    sigmas = [14.0, 6.0, 2.5, 0.5, 0.1]

    ends = drive(sampler, x, sigmas, lambda *_: picture, no_noise)

    assert relative(ends, picture + (x - picture) * (0.1 / 14)) < EXACT


@pytest.mark.parametrize("sampler", STOCHASTIC)
def test_it_keeps_the_noise_at_its_level(sampler: Sampler) -> None:
    shape = (1, 4, 128, 128)
    noise = NoiseSource(7, shape)
    x = noise() * 14

    ends = drive(sampler, x, [14.0, 6.0, 2.5, 0.5], lambda x, _: torch.full_like(x, 3.0), noise)

    deviation_of_an_estimate = 0.5 / math.sqrt(2 * ends.numel())
    assert abs(float(ends.std()) - 0.5) < 4 * deviation_of_an_estimate
    assert abs(float(ends.mean()) - 3) < 4 * 0.5 / math.sqrt(ends.numel())


def gaussian_error(sampler: Sampler, steps: int) -> float:
    """Error on pictures that are normally distributed: the denoiser is linear and the path is known in closed form."""
    spread, first, last = 0.7, 5.0, 0.05
    sigmas = [first * (last / first) ** (i / steps) for i in range(steps + 1)]
    x = NoiseSource(2, SHAPE)().double() * first

    ends = drive(sampler, x, sigmas, lambda x, sigma: x * (spread**2 / (spread**2 + sigma**2)), no_noise)

    return relative(ends, x * math.sqrt((spread**2 + last**2) / (spread**2 + first**2)))


@pytest.mark.parametrize(
    ("sampler", "order"), [(Sampler.DDIM, 1), (Sampler.EULER, 1), (Sampler.HEUN, 2), (Sampler.DPMPP_2M, 2)]
)
def test_its_error_falls_with_its_order_on_a_linear_denoiser(sampler: Sampler, order: int) -> None:
    observed = math.log2(gaussian_error(sampler, 100) / gaussian_error(sampler, 200))

    assert observed == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("sampler", list(Sampler))
def test_it_survives_a_last_step_that_changes_nothing(sampler: Sampler) -> None:
    sigmas = Schedule.from_config({**STABLE_DIFFUSION, "set_alpha_to_one": False}).sigmas(10)
    noise = NoiseSource(2, SHAPE)
    assert sigmas[-1] == sigmas[-2]

    latents = drive(sampler, noise() * sigmas[0], sigmas, nonlinear_denoiser, noise, 1.0)

    assert bool(latents.isfinite().all())


@pytest.mark.parametrize("sampler", list(Sampler))
def test_it_starts_from_zero_signal(sampler: Sampler) -> None:
    picture = NoiseSource(1, SHAPE)()
    noise = NoiseSource(2, SHAPE)
    schedule = Schedule.from_config(
        {**STABLE_DIFFUSION, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    )
    sigmas = schedule.sigmas(20)

    latents = drive(sampler, schedule.start(noise(), sigmas[0]), sigmas, lambda *_: picture, noise)

    assert relative(latents, picture) < FLOAT32


@pytest.mark.parametrize("sampler", list(Sampler))
def test_it_never_changes_a_reply(sampler: Sampler) -> None:
    noise = NoiseSource(2, SHAPE)
    given: list[tuple[Tensor, Tensor]] = []

    def denoiser(x: Tensor, sigma: float) -> Tensor:
        reply = nonlinear_denoiser(x, sigma)
        given.append((reply, reply.clone()))
        return reply

    drive(sampler, noise() * 14, Schedule.from_config(STABLE_DIFFUSION).sigmas(5), denoiser, noise, 1.0)

    assert all(torch.equal(reply, copy) for reply, copy in given)


def test_every_sampler_of_a_recipe_exists() -> None:
    assert set(SAMPLERS) == set(Sampler)


def test_eta_is_ignored_where_a_sampler_has_none() -> None:
    sigmas = Schedule.from_config(STABLE_DIFFUSION).sigmas(5)
    x = NoiseSource(2, SHAPE)() * sigmas[0]

    for sampler in (Sampler.EULER, Sampler.HEUN, Sampler.DPMPP_2M):
        assert torch.equal(
            drive(sampler, x, sigmas, nonlinear_denoiser, no_noise, 1.0),
            drive(sampler, x, sigmas, nonlinear_denoiser, no_noise, 0.0),
        )
