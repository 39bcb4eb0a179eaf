"""What a request may say of prompts, samplers and noise, and what becomes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from app.services.catalogue import Catalogue
from app.services.errors import InvalidInput
from app.services.prompts import TokenCount, count_tokens
from app.services.request import JobRequest
from app.settings import Settings
from models.recipe import MAX_SEED, Recipe, Sampler, Scheduler


@pytest.fixture
def catalogue(settings: Settings) -> Catalogue:
    return Catalogue(settings)


def ask(**fields: Any) -> JobRequest:
    return JobRequest.model_validate({"prompt": "a lake", **fields})


def recipe(catalogue: Catalogue, **fields: Any) -> Recipe:
    return ask(**fields).recipes(catalogue)[0]


def refusal(catalogue: Catalogue, **fields: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        ask(**fields).recipes(catalogue)
    return {item["field"]: item["message"] for item in caught.value.errors}


@pytest.mark.parametrize(
    ("asked", "sampler", "scheduler"),
    [
        ({"sampler": "DPM++ 2M"}, Sampler.DPMPP_2M, Scheduler.NORMAL),
        ({"sampler": "DPM++ 2M Karras"}, Sampler.DPMPP_2M, Scheduler.KARRAS),
        ({"sampler": "k_euler", "scheduler": "SGM Uniform"}, Sampler.EULER, Scheduler.SGM_UNIFORM),
        ({"sampler": "Euler a Karras", "scheduler": "beta"}, Sampler.EULER_ANCESTRAL, Scheduler.BETA),
        ({"scheduler": "EXPONENTIAL"}, Sampler.DDIM, Scheduler.EXPONENTIAL),
        ({}, Sampler.DDIM, Scheduler.NORMAL),
    ],
)
def test_samplers_and_schedulers_go_by_many_names(
    catalogue: Catalogue, asked: dict[str, str], sampler: Sampler, scheduler: Scheduler
) -> None:
    made = recipe(catalogue, **asked)
    assert (made.sampler, made.scheduler) == (sampler, scheduler)
    form = JobRequest.from_form({"prompt": "a lake", **asked}).recipes(catalogue)[0]
    assert (form.sampler, form.scheduler) == (sampler, scheduler)


@pytest.mark.parametrize("field", ["sampler", "scheduler"])
def test_an_unknown_name_is_refused_with_those_that_there_are(field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        JobRequest.from_form({"prompt": "a lake", field: "LMS"})
    (error,) = caught.value.errors
    assert error["field"] == field
    assert "euler_a" in error["message"] or "karras" in error["message"]


def test_a_variation_keeps_the_seed_and_counts_the_subseed(catalogue: Catalogue) -> None:
    made = ask(count=3, seed=7, subseed=40, subseed_strength=0.3).recipes(catalogue)
    assert [(item.seed, item.subseed, item.subseed_strength) for item in made] == [
        (7, 40, 0.3),
        (7, 41, 0.3),
        (7, 42, 0.3),
    ]


def test_a_subseed_is_drawn_only_where_it_counts(catalogue: Catalogue) -> None:
    assert recipe(catalogue, subseed_strength=0.5).subseed is not None
    assert recipe(catalogue, subseed=9).subseed is None


@pytest.mark.parametrize("field", ["seed", "subseed"])
def test_no_image_of_several_may_have_too_high_a_seed(catalogue: Catalogue, field: str) -> None:
    strength = 0.5 if field == "subseed" else 0.0
    assert field in refusal(catalogue, count=2, subseed_strength=strength, **{field: MAX_SEED})


def test_a_second_pass_is_asked_for_by_its_scale(catalogue: Catalogue) -> None:
    hires = recipe(catalogue, hires_scale=1.5, hires_upscaler="lanczos", hires_strength=0.4, hires_steps=5).hires
    assert hires is not None
    assert (hires.scale, hires.upscaler, hires.strength, hires.steps) == (1.5, "lanczos", 0.4, 5)
    assert recipe(catalogue).hires is None
    assert "hires_scale" in refusal(catalogue, hires_strength=0.4)["hires_strength"]


def test_a_second_pass_comes_to_a_size_that_one_step_can_bear(catalogue: Catalogue) -> None:
    assert "5120 x 4096" in refusal(catalogue, width=1280, height=1024, hires_scale=4)["hires_scale"]
    assert recipe(catalogue, width=1024, height=1024, hires_scale=4).hires is not None


def test_clip_skip_and_tiling_come_into_the_recipe(catalogue: Catalogue) -> None:
    made = JobRequest.from_form({"prompt": "a lake", "clip_skip": "1", "tiling": "true"}).recipes(catalogue)[0]
    assert (made.clip_skip, made.tiling) == (1, True)


def test_a_layer_that_the_text_encoder_lacks_is_refused(catalogue: Catalogue) -> None:
    assert "At most 1" in refusal(catalogue, clip_skip=2)["clip_skip"]


def test_a_prompt_with_more_tokens_than_are_read_is_refused(catalogue: Catalogue) -> None:
    wrong = refusal(catalogue, prompt="lake " * 1501, negative_prompt="a BREAK " * 20 + "a")
    assert "It has 1501 tokens; checkpoint 'tiny' reads at most 1500" in wrong["prompt"]
    assert "It has 1501 tokens" in wrong["negative_prompt"]
    assert recipe(catalogue, prompt="lake " * 1500, negative_prompt="nonsense " * 800)


def test_tokens_are_counted_as_the_checkpoint_reads_them(catalogue: Catalogue) -> None:
    assert count_tokens(catalogue.default, "(mountains:1.2) by the purple lake") == TokenCount(4, 75)
    assert count_tokens(catalogue.get("embedded"), "snowy mountains at sunset").length == 38


@pytest.mark.parametrize(("count", "room", "chunks"), [(0, 75, 1), (1, 75, 1), (75, 75, 1), (76, 150, 2)])
def test_room_is_that_of_the_chunks_in_use(count: int, room: int, chunks: int) -> None:
    found = TokenCount(count, 75)
    assert (found.room, found.chunks, found.most) == (room, chunks, 1500)


def test_words_are_unknown_whatever_marks_they_carry(catalogue: Catalogue) -> None:
    assert catalogue.unknown_words(None, "(mountains:1.2) [by] ((purple)) BREAK lake") == ["purple"]


def test_tokens_are_counted_without_torch(settings: Settings) -> None:
    code = (
        "import json, sys; from app.settings import Settings; from app.services.catalogue import Catalogue; "
        "from app.services.prompts import count_tokens; "
        f"facts = Catalogue(Settings(checkpoint={settings.checkpoint!r})).default; "
        "print(json.dumps([count_tokens(facts, 'a lake').count, 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [2, False]
