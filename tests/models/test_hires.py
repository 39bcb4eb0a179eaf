"""The second pass that enlarges: its size, its steps, and what it begins from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
import torch

from models.calls import Call, Decode, Encode, EncodeImage, Predict
from models.edit import Hires
from models.jobs import img2img, job_of
from models.recipe import Recipe
from models.resize import extend, lanczos, largest
from models.run import run
from tests.models.toy import Config, Toy


def recipe(**hires: Any) -> Recipe:
    fields = {"prompt": "a cabin", "seed": 7, "steps": 4, "width": 64, "height": 72}
    return Recipe.model_validate({**fields, "hires": hires})


def asked(
    wanted: Recipe, toy: Toy, inputs: Mapping[str, torch.Tensor] = MappingProxyType({})
) -> tuple[torch.Tensor, list[Call]]:
    job, calls = job_of(wanted, toy, inputs), list[Call]()
    try:
        calls.append(next(job))
        while True:
            calls.append(job.send(toy.answer(calls[-1:])[0]))
    except StopIteration as finished:
        return finished.value, calls


@pytest.mark.parametrize(
    ("upscaler", "between"), [("latent", []), ("lanczos", [Decode, EncodeImage])], ids=["latent", "lanczos"]
)
def test_it_takes_its_share_of_the_steps_at_the_larger_size(upscaler: str, between: list[type]) -> None:
    pixels, calls = asked(recipe(scale=2, upscaler=upscaler, strength=0.5, steps=6), Toy())
    assert [type(call) for call in calls] == [Encode, Encode, *[Predict] * 4, *between, *[Predict] * 3, Decode]
    assert pixels.shape == (1, 3, 144, 128)
    predicts = [call for call in calls if isinstance(call, Predict)]
    assert [tuple(call.sample.shape[2:]) for call in predicts] == [(9, 8)] * 4 + [(18, 16)] * 3
    assert [(call.step, call.steps) for call in predicts] == [(step, 7) for step in range(7)]


def test_the_second_pass_begins_from_the_enlarged_first_picture() -> None:
    toy, wanted = Toy(), recipe(scale=2, upscaler="lanczos", strength=0.25)
    _, calls = asked(wanted, toy)
    first = run(job_of(wanted.model_copy(update={"hires": None}), toy, {}), toy)
    latents = toy.answer([EncodeImage(lanczos(first.clamp(-1, 1), 144, 128).clamp(-1, 1))])[0]
    sigma = toy.schedule.sigmas(4)[3]
    noise = torch.randn(latents.shape, generator=torch.Generator("cpu").manual_seed(7))
    [last] = [call for call in calls if isinstance(call, Predict)][4:]
    torch.testing.assert_close(last.sample * (sigma**2 + 1) ** 0.5, latents + noise * sigma)


@pytest.mark.parametrize("upscaler", ["latent", "lanczos"])
def test_it_follows_image_to_image_and_its_steps_are_counted_together(upscaler: str) -> None:
    toy = Toy()
    job = img2img(recipe(upscaler=upscaler, strength=0.5), toy, torch.zeros(1, 3, 72, 64), 0.75)
    told: list[tuple[int, int]] = []
    pixels = run(job, toy, lambda call: told.append((call.step, call.steps)))
    assert told == [(step, 5) for step in range(5)]
    assert pixels.shape == (1, 3, 144, 128)


@pytest.mark.parametrize("factor", [8, 16])
@pytest.mark.parametrize("upscaler", ["latent", "lanczos"])
def test_sizes_that_the_checkpoint_cannot_make_are_cut(upscaler: str, factor: int) -> None:
    fields = {"prompt": "a cabin", "seed": 7, "steps": 2, "width": 64, "height": 64}
    wanted = Recipe.model_validate({**fields, "hires": {"scale": 1.1, "upscaler": upscaler}})
    pixels, _ = asked(wanted, Toy(config=Config(vae_factor=factor)))
    assert pixels.shape == (1, 3, 72, 72)


def test_a_picture_whose_sides_are_no_multiples_of_the_factor_is_not_stretched() -> None:
    fields = {"prompt": "a cabin", "seed": 7, "steps": 1, "width": 72, "height": 64, "hires": {"scale": 2}}
    wanted = Recipe.model_validate({**fields, "edit": {"image": "a" * 64}})
    toy = Toy(config=Config(vae_factor=16))
    pixels, calls = asked(wanted, toy, {"a" * 64: torch.zeros(64, 72, 3, dtype=torch.uint8)})
    assert pixels.shape == (1, 3, 128, 144)
    first, last = (call for call in calls if isinstance(call, EncodeImage | Decode))
    assert isinstance(first, EncodeImage)
    assert isinstance(last, Decode)
    assert first.pixels.shape[2:] == (64, 80)
    assert last.latents.shape[2:] == (8, 10), "twice as many each way"


def test_strength_0_only_enlarges() -> None:
    toy, wanted = Toy(), recipe(upscaler="lanczos", strength=0)
    pixels, calls = asked(wanted, toy)
    assert sum(isinstance(call, Predict) for call in calls) == 4
    assert pixels.shape == (1, 3, 144, 128)


def test_an_enlarged_size_is_a_multiple_of_8() -> None:
    assert Hires(scale=1.5).size(64, 96) == (96, 144)
    assert Hires(scale=1.1).size(512, 768) == (560, 848)


@pytest.mark.parametrize("size", [(31, 70), (12, 9), (20, 33)])
def test_lanczos_is_that_of_pillow(size: tuple[int, int]) -> None:
    import numpy as np
    from PIL import Image

    values = np.random.default_rng(1).random((20, 33), dtype=np.float32)
    wanted = np.asarray(Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.LANCZOS))
    found = lanczos(torch.from_numpy(values)[None, None], *size)[0, 0]
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)


def test_no_white_pixel_of_a_mask_is_lost_at_another_size() -> None:
    mask = torch.zeros(1, 1, 40, 50)
    mask[0, 0, 17, 23] = 1
    assert largest(mask, 7, 9).sum() >= 1
    assert largest(mask, 80, 100)[0, 0, 34:36, 46:48].min() == 1


def test_extending_repeats_the_last_pixels() -> None:
    pixels = torch.arange(12.0).reshape(1, 1, 3, 4)
    wider = extend(pixels, 8)
    assert wider.shape == (1, 1, 8, 8)
    assert (wider[0, 0, 3:, :4] == pixels[0, 0, 2]).all()
    assert torch.equal(extend(wider, 8), wider)
