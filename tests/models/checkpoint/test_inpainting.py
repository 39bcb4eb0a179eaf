"""Whole pictures of the inpainting families against diffusers' own pipeline, in either layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.edit import Edit
from models.inpaint import Work, repaint
from models.pixels import from_rgb
from models.run import run
from tests.models.checkpoint.conftest import Linked, Loaded, Written, family
from tests.models.test_edit_images import NAME, by_diffusers, levels, levels_of, mask, picture, recipe

__all__ = ["mask", "picture"]

LEVEL = 1  # of 255, in any channel of any pixel


def with_ddim(folder: Path) -> Path:
    """Have diffusers read its scheduler's file of PNDM as one of DDIM, which would clip where that says nothing."""
    from diffusers import DDIMScheduler

    DDIMScheduler.from_pretrained(folder / "scheduler", clip_sample=False).save_pretrained(folder / "scheduler")
    return folder


@pytest.mark.parametrize("layout", ["folder", "file"])
@pytest.mark.parametrize("name", ["sd1-inpainting", "sd2-inpainting"])
def test_a_picture_of_an_inpainting_model_is_that_of_diffusers(
    tmp_path: Path,
    written: Written,
    linked: Linked,
    loaded: Loaded,
    picture: Image.Image,
    mask: Image.Image,
    name: str,
    layout: str,
) -> None:
    kind, wanted = family(name), recipe(1.0)
    bundle = loaded(written(kind, layout))
    pixels, white = from_rgb(levels_of(picture)), levels_of(mask)[:, :, :1].permute(2, 0, 1)[None] / 255

    ours = levels(run(repaint(wanted, bundle, wanted.edit or Edit(image=NAME), Work(pixels, pixels, white)), bundle))
    pictures = {"image": picture, "mask_image": mask}
    folder = with_ddim(linked(written(kind, "folder"), tmp_path / name))
    theirs = by_diffusers("StableDiffusionInpaintPipeline", folder, wanted, bundle, **pictures)

    assert theirs.std() > 10
    assert np.abs(ours - theirs).max() <= LEVEL
