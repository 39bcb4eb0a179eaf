from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.calls import Predict
from models.denoise import Guidance, denoise
from models.noise import NoiseSource
from models.samplers import SAMPLERS
from models.schedule import Schedule
from models.torchvision_guard import declare_missing_operators

SHAPE = (1, 4, 6, 6)
CONDS = (torch.zeros(3, 2), torch.ones(3, 2))
STABLE_DIFFUSION = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}

Network = Callable[[Predict], Tensor]


def perfect_network(schedule: Schedule, picture: Tensor) -> Network:
    """A network that knows the only picture that there is, in each prediction type."""

    def network(call: Predict) -> Tensor:
        alpha = float(schedule.alphas_cumprod[int(call.timestep)])
        noise = (call.sample - math.sqrt(alpha) * picture) / math.sqrt(1 - alpha)
        velocity = math.sqrt(alpha) * noise - math.sqrt(1 - alpha) * picture
        answer = {"epsilon": noise, "v_prediction": velocity, "sample": picture}[schedule.prediction_type]
        return answer.expand(call.rows, -1, -1, -1)

    return network


def carry_out(
    schedule: Schedule, network: Network, *, sampler: str = "ddim", steps: int = 5, guidance: Guidance | None = None
) -> tuple[Tensor, list[Predict]]:
    noise, sigmas = NoiseSource(1, SHAPE), schedule.sigmas(steps)
    walk = SAMPLERS[sampler](schedule.start(noise(), sigmas[0]), sigmas, noise, 0.0)
    generator = denoise(walk, sigmas, schedule=schedule, guidance=guidance or Guidance(CONDS[:1]))
    calls: list[Predict] = []
    try:
        calls.append(next(generator))
        while True:
            calls.append(generator.send(network(calls[-1])))
    except StopIteration as finished:
        return finished.value, calls


@pytest.mark.parametrize("sampler", ["ddim", "heun", "dpmpp_2m"])
def test_steps_outside_the_interval_ask_for_the_prompt_alone_and_are_not_guided(sampler: str) -> None:
    schedule = Schedule.from_config(STABLE_DIFFUSION)

    def network(call: Predict) -> Tensor:
        return torch.cat([call.sample * 0.1 + cond.mean() for cond in call.conds])

    def made(**interval: float) -> tuple[Tensor, list[Predict]]:
        guidance = Guidance(CONDS, 3.0, **interval)
        return carry_out(schedule, network, sampler=sampler, steps=10, guidance=guidance)

    everywhere, in_all = made()
    between, calls = made(start=0.2, end=0.7)
    assert {call.rows for call in in_all} == {2}
    assert all((call.rows == 2) == (2 <= call.step < 7) for call in calls)
    assert all(call.conds[0] is CONDS[0] for call in calls)
    assert not torch.allclose(between, everywhere)
    nowhere, _ = carry_out(schedule, network, sampler=sampler, steps=10)
    torch.testing.assert_close(made(start=0.95, end=0.96)[0], nowhere)


@pytest.mark.parametrize("sampler", list(SAMPLERS))
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_it_finds_the_picture_that_the_network_knows(prediction_type: str, sampler: str) -> None:
    schedule = Schedule.from_config({**STABLE_DIFFUSION, "prediction_type": prediction_type, "steps_offset": 1})
    picture = NoiseSource(9, SHAPE)()

    latents, _ = carry_out(schedule, perfect_network(schedule, picture), sampler=sampler)

    torch.testing.assert_close(latents, picture, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_it_finds_the_picture_from_zero_terminal_snr(sampler: str) -> None:
    schedule = Schedule.from_config(
        {
            **STABLE_DIFFUSION,
            "prediction_type": "v_prediction",
            "timestep_spacing": "trailing",
            "rescale_betas_zero_snr": True,
        }
    )
    picture = NoiseSource(9, SHAPE)()

    latents, calls = carry_out(schedule, perfect_network(schedule, picture), sampler=sampler)

    assert calls[0].timestep == 999
    torch.testing.assert_close(latents, picture, rtol=0, atol=1e-4)


def test_the_network_sees_unit_variance_and_training_timesteps() -> None:
    schedule = Schedule.from_config({**STABLE_DIFFUSION, "steps_offset": 1})

    _, calls = carry_out(schedule, perfect_network(schedule, NoiseSource(9, SHAPE)()))

    assert torch.allclose(calls[0].sample, NoiseSource(1, SHAPE)())
    assert [call.timestep for call in calls] == [801, 601, 401, 201, 1]
    assert all(0.5 < float(call.sample.std()) < 1.5 for call in calls)
    assert all(call.sample.dtype == torch.float32 for call in calls)


@pytest.mark.parametrize(
    ("sampler", "expected"), [("ddim", [0, 1, 2, 3]), ("dpmpp_2m", [0, 1, 2, 3]), ("heun", [0, 1, 1, 2, 2, 3, 3])]
)
def test_it_counts_steps_not_predictions(sampler: str, expected: list[int]) -> None:
    schedule = Schedule.from_config({**STABLE_DIFFUSION, "steps_offset": 1})

    _, calls = carry_out(schedule, perfect_network(schedule, NoiseSource(9, SHAPE)()), sampler=sampler, steps=4)

    assert [call.step for call in calls] == expected
    assert {call.steps for call in calls} == {4}


def test_it_never_counts_beyond_the_steps_where_the_end_is_not_zero() -> None:
    for offset in (0, 1):
        schedule = Schedule.from_config({**STABLE_DIFFUSION, "steps_offset": offset, "set_alpha_to_one": False})
        _, calls = carry_out(schedule, perfect_network(schedule, NoiseSource(9, SHAPE)()), sampler="heun", steps=4)

        assert [call.step for call in calls][-1] == 3


def test_each_call_carries_what_was_last_predicted() -> None:
    schedule = Schedule.from_config({**STABLE_DIFFUSION, "prediction_type": "sample"})
    answers = [NoiseSource(seed, SHAPE)() for seed in range(5)]
    replies = iter(answers)

    _, calls = carry_out(schedule, lambda _: next(replies))

    assert calls[0].denoised is None
    assert all(
        call.denoised is not None and torch.equal(call.denoised, answer)
        for call, answer in zip(calls[1:], answers, strict=False)
    )


def test_one_cond_is_taken_as_it_is() -> None:
    prediction = NoiseSource(1, SHAPE)()

    assert Guidance(CONDS[:1], 7.5, 0.7).apply(prediction) is prediction


def test_two_conds_are_extrapolated_from_the_negative_prompt() -> None:
    cond, uncond = NoiseSource(1, SHAPE)(), NoiseSource(2, SHAPE)()

    guided = Guidance(CONDS, 7.5).apply(torch.cat([cond, uncond]))

    torch.testing.assert_close(guided, uncond + 7.5 * (cond - uncond))


@pytest.mark.parametrize("rescale", [0.3, 0.7, 1.0])
def test_rescaled_guidance_is_that_of_diffusers(rescale: float) -> None:
    declare_missing_operators()
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

    cond, uncond = NoiseSource(1, SHAPE)(), NoiseSource(2, SHAPE)()

    guided = Guidance(CONDS, 7.5, rescale).apply(torch.cat([cond, uncond]))

    torch.testing.assert_close(guided, rescale_noise_cfg(uncond + 7.5 * (cond - uncond), cond, rescale))


def test_a_reply_is_never_changed() -> None:
    schedule = Schedule.from_config({**STABLE_DIFFUSION, "prediction_type": "v_prediction"})
    pairs: list[tuple[Tensor, Tensor]] = []

    def network(call: Predict) -> Tensor:
        reply = torch.cat([call.sample * 0.3, call.sample * 0.2 + 0.1])
        pairs.append((reply, reply.clone()))
        return reply

    carry_out(schedule, network, sampler="dpmpp_2m_sde", guidance=Guidance(CONDS, 5.0, 0.5))

    assert len(pairs) == 5
    assert all(torch.equal(reply, copy) for reply, copy in pairs)
