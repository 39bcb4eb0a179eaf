"""Every recipe that we write is read by A1111's rules, here written anew from their description, and by ourselves."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.metadata import a1111
from app.metadata.png import encode_png
from app.metadata.read import read
from app.metadata.write import convert
from models.edit import Edit, Frame, Hires, MaskedContent
from models.recipe import Recipe, Sampler, Scheduler
from models.sampler_names import SAMPLERS, SCHEDULERS, sampler_of, scheduler_of

ENVIRONMENT = {"checkpoint": "a, b: c", "model_sha256": "0123456789abcdef", "version": "0.1.0"}
PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
MASKED_CONTENT = ("fill", "latent noise", "latent nothing")
SHARES = st.sampled_from([0.0, 0.05, 0.1, 1 / 3, 0.75, 1.0])

EDITS = st.builds(
    Edit,
    image=st.just("1" * 64),
    mask=st.sampled_from([None, "2" * 64]),
    frame=st.just(Frame(x=0, y=0, width=64, height=128)),
    strength=SHARES,
    mask_blur=st.integers(0, 64),
    only_masked=st.booleans(),
    padding=st.integers(0, 512),
    masked_content=st.sampled_from(MaskedContent),
)
HIRES = st.builds(
    Hires,
    scale=st.floats(1.01, 4),
    upscaler=st.sampled_from(["latent", "lanczos"]),
    strength=SHARES,
    steps=st.none() | st.integers(1, 150),
)
RECIPES = st.builds(
    Recipe,
    prompt=st.sampled_from(["", "a lake", 'a (lake:1.2), <lora:ink:0.5>\nwith "boats", 湖: at night']),
    negative_prompt=st.sampled_from(["", "fog,\nrain: heavy"]),
    steps=st.integers(1, 150),
    guidance_scale=st.floats(1, 30),
    guidance_rescale=SHARES,
    guidance_start=st.sampled_from([0.0, 0.25]),
    guidance_end=st.sampled_from([0.5, 1.0]),
    sampler=st.sampled_from(Sampler),
    scheduler=st.sampled_from(Scheduler),
    eta=SHARES,
    seed=st.integers(0, 2**53 - 1),
    subseed=st.integers(0, 2**53 - 1),
    subseed_strength=SHARES,
    clip_skip=st.integers(1, 12),
    tiling=st.booleans(),
    width=st.just(64),
    height=st.just(128),
    checkpoint=st.just("a, b: c"),
    edit=st.none() | EDITS,
    hires=st.none() | HIRES,
)


def by_their_rules(text: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt and settings, as A1111's own reader takes them: the last line, if it has three pairs."""
    *lines, last = text.strip().split("\n")
    pairs = PAIR.findall(last)
    assert len(pairs) >= 3, last
    prompts: dict[bool, list[str]] = {False: [], True: []}
    is_negative = False
    for line in (line.strip() for line in lines):
        is_negative = is_negative or line.startswith("Negative prompt:")
        prompts[is_negative].append(line.removeprefix("Negative prompt:").strip())
    settings = {key: json.loads(value) if value.startswith('"') else value for key, value in pairs}
    return "\n".join(prompts[False]), "\n".join(prompts[True]), settings


@given(RECIPES)
@settings(max_examples=150, deadline=None)
def test_a1111_reads_each_setting_that_we_write(recipe: Recipe) -> None:
    prompt, negative, said = by_their_rules(a1111.parameters(recipe, ENVIRONMENT))
    assert (prompt, negative) == (recipe.prompt, recipe.negative_prompt)
    expected: dict[str, Any] = {
        "Steps": recipe.steps,
        "Sampler": SAMPLERS[recipe.sampler].label,
        "CFG scale": recipe.guidance_scale,
        "Seed": recipe.seed,
        "Size": "64x128",
        "Model hash": "0123456789",
        "Model": "a, b: c",
        "RNG": "CPU",
        "Version": "Mezzotint 0.1.0",
    }
    if recipe.scheduler is not Scheduler.NORMAL:
        expected["Schedule type"] = SCHEDULERS[recipe.scheduler].label
    if recipe.subseed_strength:
        expected |= {"Variation seed": recipe.subseed, "Variation seed strength": recipe.subseed_strength}
    if recipe.clip_skip > 1:
        expected["Clip skip"] = recipe.clip_skip
    if recipe.tiling:
        expected["Tiling"] = True
    if recipe.guidance_rescale:
        expected["CFG rescale"] = recipe.guidance_rescale
    if recipe.guidance_start:
        expected["Skip Early CFG"] = recipe.guidance_start
    if recipe.guidance_end < 1:
        expected["CFG end"] = recipe.guidance_end
    if recipe.sampler is Sampler.DDIM and recipe.eta:
        expected["Eta DDIM"] = recipe.eta
    assert said == {key: str(value) for key, value in (expected | edit_of(recipe)).items()}


def edit_of(recipe: Recipe) -> dict[str, Any]:
    """What the text says of what a picture began from, and of its second pass."""
    expected: dict[str, Any] = {}
    if (edit := recipe.edit) is not None:
        expected["Denoising strength"] = edit.strength
        if edit.mask is not None:
            expected["Mask blur"] = edit.mask_blur
            if edit.masked_content is not MaskedContent.ORIGINAL:
                expected["Masked content"] = edit.masked_content.replace("_", " ")
                assert expected["Masked content"] in MASKED_CONTENT
            if edit.only_masked:
                expected |= {"Inpaint area": "Only masked", "Masked area padding": edit.padding}
    if (hires := recipe.hires) is not None:
        upscaler = {"latent": "Latent", "lanczos": "Lanczos"}[hires.upscaler]
        expected |= {"Denoising strength": hires.strength, "Hires upscale": hires.scale, "Hires upscaler": upscaler}
        if hires.steps is not None:
            expected["Hires steps"] = hires.steps
    return expected


@given(RECIPES, st.sampled_from(["png", "jpeg", "webp"]))
@settings(max_examples=60, deadline=None)
def test_we_restore_what_we_wrote(recipe: Recipe, kind: Any) -> None:
    png = encode_png(bytes(64 * 128 * 3), 64, 128, recipe, ENVIRONMENT)
    reading = read(png if kind == "png" else convert(png, kind))
    assert reading is not None
    assert reading.recipe == recipe


@given(RECIPES)
@settings(max_examples=100, deadline=None)
def test_the_text_alone_brings_all_of_it_back_that_it_holds(recipe: Recipe) -> None:
    found = a1111.read(a1111.parameters(recipe, ENVIRONMENT))
    assert found is not None
    assert found.unknown == {}
    told = found.values
    for name in ("prompt", "negative_prompt"):
        assert told.get(name, "") == getattr(recipe, name)
    for name in ("steps", "guidance_scale", "seed", "width", "height", "checkpoint"):
        assert told[name] == getattr(recipe, name)
    usual = {"clip_skip": 1, "tiling": False, "guidance_rescale": 0, "subseed_strength": 0, "guidance_start": 0}
    for name, value in {**usual, "guidance_end": 1}.items():
        assert told.get(name, value) == getattr(recipe, name)
    assert sampler_of(str(told["sampler"])) is recipe.sampler
    assert scheduler_of(str(told.get("scheduler", "Normal"))) is recipe.scheduler
    if recipe.hires is not None:
        assert (told["hires_scale"], told["hires_strength"]) == (recipe.hires.scale, recipe.hires.strength)
    elif recipe.edit is not None:
        assert told["strength"] == recipe.edit.strength


@pytest.mark.parametrize("text", ["", "a lake", "a lake\nSteps: 20, Sampler: DDIM", "Negative prompt: fog"])
def test_a_prompt_alone_holds_no_settings(text: str) -> None:
    assert a1111.parsed(text) == {}


def test_a_line_of_spaces_is_read_at_once() -> None:
    line = f"Steps: 20, Seed: 1, CFG scale: 3, a{' ' * (a1111.MAX_LINE - 100)}b"
    assert a1111.parsed(f"a lake\n{line}")["Steps"] == "20"
