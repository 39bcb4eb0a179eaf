"""The checkpoint that we ship: whole, small, honest about its words, and read by diffusers as it is by us."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import models
from models.bundle import Bundle
from models.checkpoint.loading import inspect, load
from models.jobs import txt2img
from models.pixels import to_rgb_bytes
from models.recipe import Recipe
from models.run import run
from models.torchvision_guard import declare_missing_operators
from models.train.gallery import draw, recipes_of

EMBEDDED = Path(models.__file__).parent / "embedded"
PROMPT = "snowy mountains at sunset with a cabin on the left"


@pytest.fixture(scope="module")
def bundle(loaded: Callable[[Path], Bundle]) -> Bundle:
    return loaded(EMBEDDED)


def test_it_is_smaller_than_45_megabytes() -> None:
    assert sum(file.stat().st_size for file in EMBEDDED.rglob("*") if file.is_file()) < 45e6


def test_it_holds_no_pickle() -> None:
    assert {file.suffix for file in EMBEDDED.rglob("*") if file.is_file()} <= {".json", ".safetensors", ".txt", ".md"}


def test_it_knows_the_words_of_its_own_examples(bundle: Bundle) -> None:
    facts = inspect(EMBEDDED)

    assert len(facts.examples) >= 8
    assert all(bundle.unknown_words(example) == [] for example in facts.examples)
    assert all(bundle.unknown_words(word) == [] for words in facts.words.values() for word in words)
    assert bundle.unknown_words("a photo of a woman") == ["photo", "woman"]


@pytest.mark.parametrize(("time", "dark"), [("at night", True), ("by day", False)])
def test_it_draws_the_light_of_the_time_of_day(bundle: Bundle, time: str, dark: bool) -> None:
    recipe = Recipe.model_validate({**bundle.defaults, "prompt": f"hills by a lake {time}", "seed": 1, "steps": 10})

    brightness = run(txt2img(recipe, bundle), bundle).mean()

    assert (brightness < -0.4) if dark else (brightness > -0.1)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers' Euler
def test_diffusers_draws_the_same_picture(bundle: Bundle) -> None:
    declare_missing_operators()
    from diffusers import StableDiffusionPipeline

    facts = {**bundle.defaults, "prompt": PROMPT, "seed": 3, "steps": 10}
    recipe = Recipe.model_validate(facts)
    ours = torch.frombuffer(bytearray(to_rgb_bytes(run(txt2img(recipe, bundle), bundle))), dtype=torch.uint8)

    theirs = StableDiffusionPipeline.from_pretrained(EMBEDDED, dtype=torch.float32)
    theirs.set_progress_bar_config(disable=True)
    latents = theirs(
        PROMPT,
        height=recipe.height // 16,  # to diffusers a latent is a pixel: it does not fold pixels into channels
        width=recipe.width // 16,
        num_inference_steps=recipe.steps,
        guidance_scale=recipe.guidance_scale,
        guidance_rescale=recipe.guidance_rescale,
        generator=torch.Generator().manual_seed(recipe.seed),
        output_type="latent",
    ).images
    theirs.vae.decoder.conv_out.padding_mode = "replicate"
    with torch.no_grad():
        decoded = F.pixel_shuffle(theirs.vae.decode(latents).sample, 16)
    wanted = (decoded[0] / 2 + 0.5).clamp(0, 1).mul(255).round().permute(1, 2, 0).flatten()

    assert (ours.float() - wanted).abs().max() <= 1


def test_prompts_of_any_length_are_drawn_side_by_side() -> None:
    bundle = load(EMBEDDED)
    prompts = ["a lake", ", ".join(["a lighthouse by the sea at night with stars"] * 6)]
    together = draw(bundle, recipes_of(bundle, prompts, steps=1, width=192, height=192))
    assert [picture.shape for picture in together] == [(192, 192, 3)] * 2
