"""Each family in each layout against diffusers and transformers: networks, and whole pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.bundle import Bundle
from models.calls import Decode, Encode, EncodeImage, Predict
from models.checkpoint.facts import inspect
from models.jobs import txt2img
from models.pixels import to_rgb_bytes
from models.recipe import Recipe, Sampler
from models.run import run
from tests.models.checkpoint.conftest import Loaded, Written, family
from tests.reference.families import FAMILIES, SIDE, Family, networks, original
from tests.reference.oracle import relative_error

TOLERANCE = 1e-5  # relative L2, float32
DDIM_LEVEL, SAMPLER_LEVEL = 1, 2  # of 255, in any channel of any pixel
LAYOUTS = ["folder", "file"]
DRAWING = ["sd1", "sd2-base", "sd2-v"]
PROMPT, NEGATIVE = "a cabin under snowy mountains, 35mm", "fog"

each_family = pytest.mark.parametrize("kind", FAMILIES, ids=lambda kind: kind.name)
each_shape = pytest.mark.parametrize(  # the networks of sd2-v are those of sd2-base
    "kind", [kind for kind in FAMILIES if kind.name != "sd2-v"], ids=lambda kind: kind.name
)
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


@pytest.fixture(scope="module")
def bundle_of(written: Written, loaded: Loaded) -> Callable[[Family, str], Bundle]:
    """The bundle of a family in a layout, loaded once."""
    return lambda kind, layout: loaded(written(kind, layout))


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


@each_shape
def test_the_fabricated_file_is_what_diffusers_takes_for_an_original_one(kind: Family) -> None:
    from diffusers.loaders import single_file_utils as theirs

    state, parts = original(kind), networks(kind)
    config = dict(parts["unet"].config)

    unet = theirs.convert_ldm_unet_checkpoint(dict(state), config)
    vae = theirs.convert_ldm_vae_checkpoint(dict(state), dict(parts["vae"].config))

    for found, wanted in ((unet, parts["unet"].state_dict()), (vae, parts["vae"].state_dict())):
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[key].reshape(wanted[key].shape), wanted[key]) for key in wanted)


@each_layout
@each_family
def test_it_says_what_it_is(written: Written, kind: Family, layout: str) -> None:
    facts = inspect(written(kind, layout))
    assert (facts.layout, facts.name, facts.unet_in_channels) == (layout, kind.name, kind.in_channels)
    assert (facts.prediction_type, facts.inpainting) == (kind.prediction_type, kind.in_channels == 9)
    assert facts.dtypes == ["F32"]
    if layout == "file":
        side = 768 if kind.prediction_type == "v_prediction" else 512
        assert (facts.width, facts.height, facts.missing) == (side, side, ["scheduler", "tokenizer"])


@each_layout
@each_shape
@torch.no_grad()
def test_its_networks_are_those_of_diffusers(bundle_of: Any, kind: Family, layout: str) -> None:
    bundle, theirs = bundle_of(kind, layout), networks(kind)
    context = random(1, 77, 64)
    sample, extra = random(1, 4, 8, 8), (random(2, 5, 8, 8)[:1] if kind.in_channels == 9 else None)
    whole = sample if extra is None else torch.cat((sample, extra), dim=1)
    pixels = random(1, 3, SIDE, SIDE).clamp(-1, 1)

    (prediction,) = bundle.answer([Predict(sample, 501.0, (context[0],), 0, 1, extra=extra)])
    (encoded,) = bundle.answer([EncodeImage(pixels)])
    (decoded,) = bundle.answer([Decode(sample)])

    assert relative_error(prediction, theirs["unet"](whole, 501, context).sample) <= TOLERANCE
    scaling = theirs["vae"].config.scaling_factor
    assert relative_error(encoded, theirs["vae"].encode(pixels).latent_dist.mode() * scaling) <= TOLERANCE
    assert relative_error(decoded, theirs["vae"].decode(sample / scaling).sample) <= TOLERANCE


@each_layout
@each_family
@torch.no_grad()
def test_its_text_encoder_is_that_of_transformers_with_its_tokenizer(
    written: Written, bundle_of: Any, kind: Family, layout: str
) -> None:
    bundle, encoder = bundle_of(kind, layout), networks(kind)["text_encoder"]
    tokenizer = their_tokenizer(written(kind, "folder"))
    # no "!" alone: as the padding of Stable Diffusion 2 it is a special token of transformers, and not in training
    for prompt in (PROMPT, "", "Crème brûlée, 3 o'clock; ünïcode -- \U0001f600?"):
        ids = tokenizer(prompt, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        assert torch.equal(torch.tensor(bundle.text.tokenizer([prompt])), ids)
        wanted = encoder(ids).last_hidden_state
        assert relative_error(bundle.answer([Encode(prompt)])[0][None], wanted) <= TOLERANCE
        skipped = encoder(ids, output_hidden_states=True).hidden_states[-2]
        found = bundle.answer([Encode(prompt, 2)])[0][None]
        assert relative_error(found, encoder.final_layer_norm(skipped)) <= TOLERANCE


def their_tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder / "tokenizer")


@pytest.fixture(scope="module")
def pipeline_of(written: Written) -> Callable[[str], Any]:
    """diffusers' whole pipeline, tokenizer and text encoder included, of the folder of a family."""
    from diffusers import StableDiffusionPipeline

    made: dict[str, Any] = {}

    def pipeline(name: str) -> Any:
        if name not in made:
            folder, parts = written(family(name), "folder"), networks(family(name))
            made[name] = StableDiffusionPipeline(
                vae=parts["vae"],
                text_encoder=parts["text_encoder"],
                tokenizer=their_tokenizer(folder),
                unet=parts["unet"],
                scheduler=their_scheduler("PNDMScheduler", folder),
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
            )
            made[name].set_progress_bar_config(disable=True)
        return made[name]

    return pipeline


def their_scheduler(name: str, folder: Path, **changes: Any) -> Any:
    import diffusers

    config = json.loads((folder / "scheduler/scheduler_config.json").read_text())
    return getattr(diffusers, name).from_config(config, **changes)


def by_diffusers(pipeline: Any, scheduler: Any, recipe: Recipe) -> Any:
    pipeline.scheduler = scheduler
    image = pipeline(
        prompt=recipe.prompt,
        negative_prompt=recipe.negative_prompt,
        num_inference_steps=recipe.steps,
        guidance_scale=recipe.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(recipe.seed),
        width=recipe.width,
        height=recipe.height,
        output_type="pil",
    ).images[0]
    return np.asarray(image).astype(int).ravel()


def by_us(bundle: Bundle, recipe: Recipe) -> Any:
    return np.frombuffer(to_rgb_bytes(run(txt2img(recipe, bundle), bundle)), np.uint8).astype(int)


def recipe_of(sampler: Sampler, steps: int) -> Recipe:
    return Recipe(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        sampler=sampler,
        steps=steps,
        guidance_scale=7.5,
        seed=3,
        width=SIDE,
        height=SIDE + 8,
    )


@each_layout
@pytest.mark.parametrize("name", DRAWING)
def test_a_picture_is_that_of_diffusers(
    written: Written, bundle_of: Any, pipeline_of: Any, name: str, layout: str
) -> None:
    recipe, pipeline = recipe_of(Sampler.DDIM, steps=6), pipeline_of(name)
    scheduler = their_scheduler("DDIMScheduler", written(family(name), "folder"), clip_sample=False)

    theirs = by_diffusers(pipeline, scheduler, recipe)

    assert theirs.std() > 10  # a picture, not a flat colour
    assert np.abs(by_us(bundle_of(family(name), layout), recipe) - theirs).max() <= DDIM_LEVEL


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:diffusers")
@pytest.mark.parametrize("name", ["sd1", "sd2-v"])
@pytest.mark.parametrize(
    ("sampler", "scheduler", "spacing"),
    [
        (Sampler.EULER, "EulerDiscreteScheduler", "leading"),
        (Sampler.EULER_ANCESTRAL, "EulerAncestralDiscreteScheduler", "leading"),
        (Sampler.HEUN, "HeunDiscreteScheduler", "leading"),
        (Sampler.DPMPP_2M, "DPMSolverMultistepScheduler", "trailing"),  # its leading is spaced as if for a step more
    ],
)
def test_a_picture_of_another_sampler_is_that_of_diffusers(
    written: Written, bundle_of: Any, pipeline_of: Any, name: str, sampler: Sampler, scheduler: str, spacing: Any
) -> None:
    recipe, pipeline, bundle = recipe_of(sampler, steps=5), pipeline_of(name), bundle_of(family(name), "file")
    spaced = replace(bundle, schedule=replace(bundle.schedule, timestep_spacing=spacing))

    their = their_scheduler(scheduler, written(family(name), "folder"), timestep_spacing=spacing)

    assert np.abs(by_us(spaced, recipe) - by_diffusers(pipeline, their, recipe)).max() <= SAMPLER_LEVEL
