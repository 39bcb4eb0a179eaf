"""The job as a generator: tests answer its calls by hand or with a network of one line."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.calls import Call, Decode, Encode, EncodeImage, Predict
from models.jobs import Job, img2img, txt2img
from models.recipe import Recipe, Sampler
from models.run import run
from tests.models.toy import Config, Toy


def recipe(**changes: Any) -> Recipe:
    return Recipe(**{"prompt": "a cabin", "seed": 7, "steps": 4, "width": 64, "height": 72, **changes})


def listen(job: Job, model: Toy) -> tuple[Tensor, list[Call]]:
    calls: list[Call] = []
    try:
        calls.append(next(job))
        while True:
            calls.append(job.send(model.answer(calls[-1:])[0]))
    except StopIteration as finished:
        return finished.value, calls


def test_it_encodes_then_denoises_then_decodes() -> None:
    pixels, calls = listen(txt2img(recipe(negative_prompt="fog"), Toy()), Toy())

    assert [type(call) for call in calls] == [Encode, Encode, *[Predict] * 4, Decode]
    assert [call.text for call in calls if isinstance(call, Encode)] == ["a cabin", "fog"]
    assert pixels.shape == (1, 3, 72, 64)
    assert pixels.dtype == torch.float32


def test_each_prediction_has_the_prompt_first_and_the_negative_prompt_second() -> None:
    _, calls = listen(txt2img(recipe(), Toy()), Toy())

    for call in calls:
        if isinstance(call, Predict):
            assert [float(cond.mean()) for cond in call.conds] == pytest.approx([0.7, 0.0])


def test_the_shorter_prompt_is_filled_up_with_empty_chunks() -> None:
    class Chunky(Toy):
        def _one(self, call: Call) -> Tensor:
            if isinstance(call, Encode):
                return torch.full((7 * len(call.text.split("BREAK")), 5), float(len(call.text)))
            return super()._one(call)

    for prompt, negative in (("a BREAK b BREAK c", "fog"), ("fog", "a BREAK b BREAK c")):
        _, calls = listen(txt2img(recipe(prompt=prompt, negative_prompt=negative, clip_skip=2), Chunky()), Chunky())

        assert [(call.text, call.clip_skip) for call in calls if isinstance(call, Encode)] == [
            (prompt, 2),
            (negative, 2),
            ("", 2),
        ]
        for call in calls:
            if isinstance(call, Predict):
                short = call.conds[1 if negative == "fog" else 0]
                assert [len(cond) for cond in call.conds] == [21, 21]
                assert short[:, 0].tolist() == [3.0] * 7 + [0.0] * 14


def test_without_guidance_it_asks_for_one_row_and_one_encoding() -> None:
    _, calls = listen(txt2img(recipe(guidance_scale=1, negative_prompt="fog"), Toy()), Toy())

    assert sum(isinstance(call, Encode) for call in calls) == 1
    assert {call.rows for call in calls if isinstance(call, Predict)} == {1}


def test_the_network_first_sees_the_noise_of_the_seed() -> None:
    _, calls = listen(txt2img(recipe(seed=123), Toy()), Toy())
    first = next(call for call in calls if isinstance(call, Predict))

    expected = torch.randn((1, 4, 9, 8), generator=torch.Generator("cpu").manual_seed(123))
    torch.testing.assert_close(first.sample, expected)


@pytest.mark.parametrize(("channels", "factor"), [(4, 8), (8, 4), (16, 8)])
def test_its_latents_have_the_shape_of_the_checkpoint(channels: int, factor: int) -> None:
    toy = Toy(config=Config(channels, channels, factor))

    _, calls = listen(txt2img(recipe(), toy), toy)

    shapes = {call.sample.shape for call in calls if isinstance(call, Predict)}
    assert shapes == {torch.Size((1, channels, 72 // factor, 64 // factor))}


@pytest.mark.parametrize("sampler", list(Sampler))
def test_the_same_recipe_gives_the_same_pixels(sampler: Sampler) -> None:
    wanted = recipe(sampler=sampler, eta=0.5)

    assert torch.equal(run(txt2img(wanted, Toy()), Toy()), run(txt2img(wanted, Toy()), Toy()))


def test_another_seed_gives_other_pixels() -> None:
    assert not torch.equal(run(txt2img(recipe(seed=1), Toy()), Toy()), run(txt2img(recipe(seed=2), Toy()), Toy()))


@pytest.mark.parametrize("sampler", list(Sampler))
def test_a_job_beside_others_gives_the_pixels_that_it_gives_alone(sampler: Sampler) -> None:
    toy = Toy()
    recipes = [recipe(sampler=sampler, seed=seed, steps=seed + 2, eta=0.5) for seed in range(3)]
    alone = [run(txt2img(one, toy), toy) for one in recipes]

    jobs = [txt2img(one, toy) for one in recipes]
    pending = {index: next(job) for index, job in enumerate(jobs)}
    together: dict[int, Tensor] = {}
    while pending:
        for index, call in list(pending.items()):
            try:
                pending[index] = jobs[index].send(toy.answer([call])[0])
            except StopIteration as finished:
                together[index] = finished.value
                del pending[index]

    assert all(torch.equal(together[index], pixels) for index, pixels in enumerate(alone))


def test_the_global_random_state_is_neither_read_nor_changed() -> None:
    wanted = recipe(sampler=Sampler.DPMPP_2M_SDE)
    first = run(txt2img(wanted, Toy()), Toy())
    before = torch.get_rng_state()
    torch.rand(3)
    disturbed = torch.get_rng_state()

    second = run(txt2img(wanted, Toy()), Toy())

    assert torch.equal(torch.get_rng_state(), disturbed)
    assert torch.equal(first, second)
    torch.set_rng_state(before)


def test_a_job_can_be_closed_between_two_steps() -> None:
    job = txt2img(recipe(), Toy())
    call = next(job)
    while not isinstance(call, Predict):
        call = job.send(Toy().answer([call])[0])

    job.close()

    with pytest.raises(StopIteration):
        next(job)


def test_run_tells_each_step_before_it_is_taken() -> None:
    told: list[tuple[int, int]] = []

    run(txt2img(recipe(), Toy()), Toy(), lambda call: told.append((call.step, call.steps)))

    assert told == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_it_refuses_a_checkpoint_for_inpainting() -> None:
    with pytest.raises(ValueError, match="takes 9 input channels, so it is made for inpainting"):
        next(txt2img(recipe(), Toy(config=Config(unet_in_channels=9))))


def test_it_refuses_a_size_that_the_checkpoint_cannot_make() -> None:
    with pytest.raises(ValueError, match="height is 72; checkpoint 'embedded' needs a multiple of 16"):
        next(txt2img(recipe(), Toy(config=Config(vae_factor=16))))


def test_image_to_image_begins_from_the_noised_image_at_its_share_of_the_steps() -> None:
    toy, wanted = Toy(), recipe(steps=10)
    pixels = torch.linspace(-1, 1, 3 * 72 * 64).reshape(1, 3, 72, 64)

    _, calls = listen(img2img(wanted, toy, pixels, 0.38), toy)
    first = next(call for call in calls if isinstance(call, Predict))

    sigma = toy.schedule.sigmas(10)[7]
    noise = torch.randn((1, 4, 9, 8), generator=torch.Generator("cpu").manual_seed(7))
    begun = toy.answer([EncodeImage(pixels)])[0] + noise * sigma
    assert [type(call) for call in calls] == [Encode, Encode, EncodeImage, *[Predict] * 3, Decode]
    torch.testing.assert_close(first.sample, begun / (sigma**2 + 1) ** 0.5)


def test_image_to_image_without_a_step_leaves_the_image_as_it_is() -> None:
    pixels = torch.rand(1, 3, 72, 64)

    changed, calls = listen(img2img(recipe(steps=10), Toy(), pixels, 0.09), Toy())

    assert torch.equal(changed, pixels)
    assert calls == []
