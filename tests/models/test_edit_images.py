"""Edits of small random checkpoints, ours and diffusers', on the same weights and noise, before pixels are put back.

diffusers draws the encoded image from its distribution where we take the mean, so its `sample` is made to do that too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from models.bundle import Bundle
from models.calls import Encode
from models.edit import Edit
from models.inpaint import Work, repaint
from models.jobs import img2img
from models.pixels import from_rgb, to_rgb_bytes
from models.recipe import Recipe
from models.run import run
from models.torchvision_guard import declare_missing_operators

LEVELS = 2  # of 255, in any channel of any pixel
WIDTH, HEIGHT = 64, 72
NAME = "0" * 64
Loaded = Callable[[Path], Bundle]


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    generator = np.random.default_rng(3)
    coarse = Image.fromarray(generator.integers(0, 256, (9, 8, 3), dtype=np.uint8))
    return coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def mask() -> Image.Image:
    """White from cell to cell: where a cell is cut, we repaint all of it and diffusers what its corner says."""
    white = np.zeros((HEIGHT, WIDTH), np.uint8)
    white[16:48, 24:56] = 255
    return Image.fromarray(white)


def levels_of(image: Image.Image) -> Tensor:
    return torch.frombuffer(bytearray(image.convert("RGB").tobytes()), dtype=torch.uint8).reshape(HEIGHT, WIDTH, 3)


def recipe(strength: float, guidance_scale: float = 5.0) -> Recipe:
    fields = {"prompt": "a cabin", "negative_prompt": "fog", "steps": 6, "guidance_scale": guidance_scale, "seed": 5}
    return Recipe.model_validate(
        {**fields, "width": WIDTH, "height": HEIGHT, "edit": {"image": NAME, "mask": NAME, "strength": strength}}
    )


@cache
def networks(folder: Path) -> tuple[Any, Any]:
    """diffusers' autoencoder and U-Net of a folder."""
    import diffusers

    vae = diffusers.AutoencoderKL.from_pretrained(folder / "vae")
    return vae, diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")


def by_diffusers(kind: str, folder: Path, wanted: Recipe, bundle: Bundle, **pictures: Image.Image) -> np.ndarray:
    """The picture (H, W, 3) of diffusers' pipeline of a kind, whose parts are read from our folder."""
    declare_missing_operators()
    import diffusers
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    vae, unet = networks(folder)
    pipeline = getattr(diffusers, kind)(
        vae=vae,
        unet=unet,
        text_encoder=None,
        tokenizer=None,
        scheduler=diffusers.DDIMScheduler.from_pretrained(folder / "scheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    assert wanted.edit is not None
    conds = [bundle.answer([Encode(text)])[0][None] for text in (wanted.prompt, wanted.negative_prompt)]
    size: dict[str, Any] = {} if "Img2Img" in kind else {"width": WIDTH, "height": HEIGHT}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())  # noqa: ARG005
        made = pipeline(
            prompt_embeds=conds[0],
            negative_prompt_embeds=conds[1],
            strength=wanted.edit.strength,
            num_inference_steps=wanted.steps,
            guidance_scale=wanted.guidance_scale,
            generator=torch.Generator("cpu").manual_seed(wanted.seed),
            **pictures,
            **size,
        )
    return np.asarray(made.images[0]).astype(int)


def levels(pixels: Tensor) -> np.ndarray:
    return np.frombuffer(to_rgb_bytes(pixels), np.uint8).reshape(HEIGHT, WIDTH, 3).astype(int)


@pytest.mark.parametrize("strength", [0.35, 1.0])
@pytest.mark.parametrize("kind", ["sd1", "sd2-v"])
def test_image_to_image_is_that_of_diffusers(
    checkpoint_of: Callable[[str], Path], loaded: Loaded, picture: Image.Image, kind: str, strength: float
) -> None:
    folder, wanted = checkpoint_of(kind), recipe(strength)
    bundle = loaded(folder)

    ours = levels(run(img2img(wanted, bundle, from_rgb(levels_of(picture)), strength), bundle))
    theirs = by_diffusers("StableDiffusionImg2ImgPipeline", folder, wanted, bundle, image=picture)

    assert theirs.std() > 10
    assert np.abs(ours - theirs).max() <= LEVELS


@pytest.mark.parametrize("strength", [0.65, 1.0])
@pytest.mark.parametrize("kind", ["sd1", "sd2-v", "sd1-inpainting", "sd2-inpainting"])
def test_inpainting_is_that_of_diffusers_before_the_pixels_are_put_back(
    checkpoint_of: Callable[[str], Path],
    loaded: Loaded,
    picture: Image.Image,
    mask: Image.Image,
    kind: str,
    strength: float,
) -> None:
    folder, wanted = checkpoint_of(kind), recipe(strength)
    bundle = loaded(folder)
    pixels = from_rgb(levels_of(picture))
    white = levels_of(mask)[:, :, :1].permute(2, 0, 1)[None] / 255
    edit = wanted.edit or Edit(image=NAME)

    ours = levels(run(repaint(wanted, bundle, edit, Work(pixels, pixels, white)), bundle))
    pictures = {"image": picture, "mask_image": mask}
    theirs = by_diffusers("StableDiffusionInpaintPipeline", folder, wanted, bundle, **pictures)

    assert np.abs(theirs - np.asarray(picture).astype(int)).max() > 10
    assert np.abs(ours - theirs).max() <= LEVELS
