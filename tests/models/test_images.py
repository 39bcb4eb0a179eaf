"""Whole images: a checkpoint folder that diffusers wrote, through our path and through diffusers' own pipeline.

The text embeddings are ours on both sides; they are proven where the text tower is.
"""

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
from models.calls import Encode
from models.checkpoint.facts import layout_of
from models.checkpoint.loading import schedule_of
from models.jobs import txt2img
from models.pixels import to_rgb_bytes
from models.recipe import Recipe, Sampler
from models.run import run
from models.torchvision_guard import declare_missing_operators

LEVEL = 1  # of 255, in any channel of any pixel
SIDE = 64
STABLE_DIFFUSION = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False}
PNDM = {**STABLE_DIFFUSION, "_class_name": "PNDMScheduler", "skip_prk_steps": True, "set_alpha_to_one": False}
SCHEDULES: dict[str, dict[str, Any]] = {
    "stable diffusion 1": {**PNDM, "steps_offset": 1},
    "without offset": {**PNDM, "steps_offset": 0},
    "ends at zero": STABLE_DIFFUSION,
    "trailing": {**STABLE_DIFFUSION, "timestep_spacing": "trailing"},
    "stable diffusion 2": {**PNDM, "steps_offset": 1, "prediction_type": "v_prediction"},
    "v, trailing": {**STABLE_DIFFUSION, "timestep_spacing": "trailing", "prediction_type": "v_prediction"},
    "zero terminal SNR": {
        **STABLE_DIFFUSION,
        "timestep_spacing": "trailing",
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
    },
}
GUIDANCE = {"none": (1.0, 0.0), "guided": (7.5, 0.0), "rescaled": (7.5, 0.7)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random checkpoint in the shape of Stable Diffusion, as diffusers saves it; without a tokenizer."""
    declare_missing_operators()
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=SIDE // 8,
            block_out_channels=(32, 64),
            layers_per_block=1,
            cross_attention_dim=32,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            attention_head_dim=4,
            norm_num_groups=8,
        )
        vae = AutoencoderKL(
            block_out_channels=(16, 16, 32, 32),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=8,
            sample_size=SIDE,
        )
        text_encoder = CLIPTextModel(
            CLIPTextConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
        )
    path = tmp_path_factory.mktemp("checkpoint")
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=None,
        unet=unet,
        scheduler=DDIMScheduler(**STABLE_DIFFUSION, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, tokenizer=None, text_encoder=None, scheduler=DDIMScheduler(steps_offset=1, clip_sample=False)
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def by_diffusers(pipeline: Any, config: dict[str, Any], recipe: Recipe, embeddings: list[Tensor]) -> bytes:
    from diffusers import DDIMScheduler

    pipeline.scheduler = DDIMScheduler.from_config(config)  # only now: it forces steps_offset 1 on its first
    image = pipeline(
        prompt_embeds=embeddings[0][None],
        negative_prompt_embeds=embeddings[1][None],
        num_inference_steps=recipe.steps,
        guidance_scale=recipe.guidance_scale,
        guidance_rescale=recipe.guidance_rescale,
        eta=recipe.eta,
        generator=torch.Generator("cpu").manual_seed(recipe.seed),
        width=recipe.width,
        height=recipe.height,
        output_type="pil",
    ).images[0]
    return bytes(image.tobytes())


@pytest.mark.parametrize(
    ("schedule", "guidance", "eta"),
    [
        *((schedule, "guided", 0.0) for schedule in SCHEDULES),
        *((schedule, "rescaled", 0.6) for schedule in SCHEDULES),
        ("stable diffusion 1", "none", 0.0),
        ("zero terminal SNR", "none", 1.0),
    ],
)
def test_an_image_is_that_of_diffusers(
    folder: Path, loaded: Callable[[Path], Bundle], pipeline: Any, schedule: str, guidance: str, eta: float
) -> None:
    scale, rescale = GUIDANCE[guidance]
    recipe = Recipe(
        prompt="a cabin under snowy mountains",
        negative_prompt="fog",
        sampler=Sampler.DDIM,
        steps=5,
        guidance_scale=scale,
        guidance_rescale=rescale,
        eta=eta,
        seed=3,
        width=SIDE,
        height=SIDE + 8,
    )
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULES[schedule]))
    bundle = replace(loaded(folder), schedule=schedule_of(layout_of(folder)))
    embeddings = [bundle.answer([Encode(text)])[0] for text in (recipe.prompt, recipe.negative_prompt)]

    ours = np.frombuffer(to_rgb_bytes(run(txt2img(recipe, bundle), bundle)), np.uint8).astype(int)
    theirs = np.frombuffer(by_diffusers(pipeline, SCHEDULES[schedule], recipe, embeddings), np.uint8).astype(int)

    assert theirs.std() > 10  # a picture, not a flat colour
    assert np.abs(ours - theirs).max() <= LEVEL
