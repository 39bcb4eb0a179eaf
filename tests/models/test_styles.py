"""Styles fit pictures of all shapes, on the grid of the latents."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from models.train.render import WIDE, render
from models.train.scene import Scene
from models.train.styles import PALETTES, STYLES, styled

PATCH = 16  # pixels a side of what the embedded model's latents are
SCENE = Scene("day", "hills", "lake", "cabin", "left", "sun", "right", True, False, False)


@pytest.mark.parametrize("style", STYLES)
def test_a_texture_is_the_same_in_every_latent_of_a_picture_of_any_shape(style: str) -> None:
    picture = np.full((8 * PATCH, 12 * PATCH, 3), (120, 160, 90), dtype=np.uint8)
    found = styled(picture, style, None, 16 * PATCH)
    patches = found.reshape(8, PATCH, 12, PATCH, 3)
    assert found.dtype == np.uint8
    assert (patches == patches[:1, :, :1]).all()


@pytest.mark.parametrize("style", STYLES)
def test_a_style_changes_a_wide_picture_and_keeps_its_shape(style: str) -> None:
    plain = render(SCENE, Random(1), 64, WIDE)
    found = styled(plain, style, None, 64)
    assert found.shape == plain.shape == (64, 96, 3)
    assert np.abs(found.astype(int) - plain).mean() > 4


@pytest.mark.parametrize("palette", PALETTES)
def test_a_palette_lies_between_its_own_darkest_and_lightest_colours(palette: str) -> None:
    found = styled(render(SCENE, Random(1), 64, WIDE), None, palette, 64)
    stops = np.array(PALETTES[palette])
    assert (found >= stops.min(0)).all()
    assert (found <= stops.max(0)).all()
