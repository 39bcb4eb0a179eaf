"""Painting on beyond a picture's edges: in which order, how progress counts it, and what goes on there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.calls import Backdrop, Predict
from models.jobs import job_of
from models.pixels import from_rgb, to_rgb_bytes
from models.recipe import Recipe
from tests.models.painter import Painter

IMAGE, MASK = "a" * 64, "b" * 64
SIDE = 128
SKY, GROUND, SAND = 0.6, -0.6, 0.2
MAX_STEP = 2.0  # levels


def painting() -> Painter:
    """Paints sky above ground with the horizon at half of what it sees."""
    return Painter(landscape)


def landscape(height: int, width: int) -> Tensor:
    rows = torch.where(torch.arange(height) < height // 2, SKY, GROUND)
    return rows[None, None, :, None].expand(1, 3, height, width)


def levels(pixels: Tensor) -> Tensor:
    flat = torch.frombuffer(bytearray(to_rgb_bytes(pixels)), dtype=torch.uint8)
    return flat.reshape(*pixels.shape[2:], 3)


def painted_on(
    painter: Painter, image: Tensor, frame: tuple[int, int, int, int], *, mask: Tensor | None = None, **fields: Any
) -> Tensor:
    """The pixels of an edit whose frame is x, y, width and height; `fields` are the edit's, or `tiling`."""
    x, y, width, height = frame
    size, inputs = {"width": width, "height": height}, {IMAGE: levels(image)}
    if mask is not None:
        fields["mask"], inputs[MASK] = MASK, mask
    made = {"prompt": "hills", "seed": 1, "steps": 4, "guidance_scale": 1, "tiling": fields.pop("tiling", False)}
    edit = {"image": IMAGE, "strength": 1.0, "grow": 0, "frame": {"x": x, "y": y, **size}, **fields}
    job = job_of(Recipe.model_validate({**made, **size, "edit": edit}), painter, inputs)
    try:
        call = next(job)
        while True:
            call = job.send(painter.answer([call])[0])
    except StopIteration as finished:
        return from_rgb(levels(finished.value.clamp(-1, 1)))


@pytest.mark.parametrize("x", [-64, 0])
@pytest.mark.parametrize("y", [-64, 0])
def test_at_a_corner_the_horizon_goes_on_at_its_height(x: int, y: int) -> None:
    """Painted at once it would be where the painter puts it in the whole frame, half a picture's height off."""
    found = painted_on(painting(), landscape(SIDE, SIDE), (x, y, SIDE + 64, SIDE + 64))
    horizon = SIDE // 2 - y
    assert (found[:, :, horizon - 24 : horizon] - SKY).abs().max() * 127.5 <= MAX_STEP
    assert (found[:, :, horizon : horizon + 24] - GROUND).abs().max() * 127.5 <= MAX_STEP


def test_beyond_a_corner_it_paints_the_sides_first_and_then_the_whole() -> None:
    painter = painting()
    painted_on(painter, landscape(SIDE, SIDE), (-64, -32, SIDE + 64, SIDE + 32), strength=0.75)
    assert painter.worked_on() == [(SIDE, SIDE + 64), (SIDE + 32, SIDE + 64)]
    assert painter.steps() == [(step, 6) for step in range(6)]  # three of the four steps, twice, in one progress
    first = next(call for call in painter.calls if isinstance(call, Predict))
    assert isinstance(first.backdrop, Backdrop)
    assert first.backdrop.pixels.shape[2:] == (SIDE + 32, SIDE + 64)
    assert first.backdrop.place == (0, 32, SIDE + 64, SIDE)


@pytest.mark.parametrize(
    ("frame", "height", "tiling"),
    [
        ((-64, 0, SIDE + 64, SIDE), SIDE, False),
        ((0, 0, SIDE, SIDE + 64), SIDE, False),
        ((64, -64, SIDE, SIDE), 56, False),  # too low to show a scene by itself
        ((-64, -64, SIDE + 64, SIDE + 64), SIDE, True),
    ],
)
def test_otherwise_it_paints_once(frame: tuple[int, int, int, int], height: int, tiling: bool) -> None:
    painter = painting()
    painted_on(painter, landscape(height, SIDE), frame, tiling=tiling)
    assert painter.worked_on() == [(frame[3], frame[2])]
    assert painter.steps() == [(step, 4) for step in range(4)]


def test_what_is_masked_is_repainted_with_the_sides_and_all_else_is_kept() -> None:
    texture = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    mask = torch.zeros(SIDE, SIDE, 1, dtype=torch.uint8)
    mask[72:88, 40:60] = 255
    found = painted_on(painting(), texture, (-64, -64, SIDE + 64, SIDE + 64), mask=mask, color_match=False, mask_blur=0)
    inside = found[:, :, 64:, 64:]
    kept = (mask == 0).permute(2, 0, 1)[None].expand_as(inside).clone()
    kept[:, :, :32] = kept[:, :, :, :32] = False  # the overlap
    assert torch.equal(inside[kept], from_rgb(levels(texture))[kept])
    assert (inside[:, :, 72:88, 40:60] - GROUND).abs().max() * 127.5 <= MAX_STEP


@pytest.mark.parametrize(("y", "beyond"), [(0, slice(SIDE, None)), (-64, slice(0, 64))])
def test_above_and_below_a_plain_strip_no_other_scene_begins(y: int, beyond: slice) -> None:
    """Whatever stands above a beach, and below a sky: at the sides it takes more to tell what goes on."""
    beach = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    beach[:, :, :24] = beach[:, :, -24:] = SAND
    found = painted_on(painting(), beach, (0, y, SIDE, SIDE + 64), strength=0.75)[:, :, beyond]
    assert (found - SAND).abs().max() * 127.5 <= 3 * MAX_STEP
    free = painted_on(painting(), beach, (0, y, SIDE, SIDE + 64), strength=1)[:, :, beyond]
    assert (free - SAND).abs().mean() > 0.3


def test_below_an_edge_that_is_not_plain_the_painter_is_free() -> None:
    texture = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = painted_on(painting(), texture, (0, 0, SIDE, SIDE + 64), strength=0.75, color_match=False)
    assert (found - GROUND)[:, :, SIDE:].abs().max() * 127.5 <= MAX_STEP
