"""Seams, measured: with a painter that paints another picture, wrong in colour, and with the embedded model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import models
from models import tiles
from models.bundle import Bundle
from models.calls import Call, EncodeImage, Predict
from models.checkpoint.loading import load
from models.edit import Edit
from models.jobs import job_of, txt2img
from models.masks import distance
from models.pixels import from_rgb, to_rgb_bytes
from models.recipe import Recipe
from models.run import run
from models.schedule import Schedule
from models.tiles import Tiling
from tests.models.painter import Painter
from tests.models.seams import across_and_along, colour_step, disc

IMAGE, MASK = "a" * 64, "b" * 64
SIDE, SMALL = 128, 96
WEAVE = 3 / 127.5
WRONG = torch.tensor([16.0, -12.0, 9.0])[:, None, None] / 127.5  # what the painter's colours are off by
MAX_RATIO, MAX_STEP, MAX_DRIFT = 1.15, 2.0, 4.0
BOX = (40, 32, 88, 80)  # left, top, right, bottom
DAY, FEW = "hills by a lake on a clear day", {"steps": 8, "guidance_scale": 2}


def painting(picture: Tensor) -> Painter:
    """Paints one picture, whatever it is asked for."""
    return Painter(lambda height, width: picture[..., :height, :width])


def texture(seed: int) -> Tensor:
    """Isotropic soft noise (1, 3, SIDE, SIDE), no direction of which is unlike another."""
    noise = torch.randn(1, 3, SIDE + 8, SIDE + 8, generator=torch.Generator().manual_seed(seed))
    return F.avg_pool2d(F.avg_pool2d(noise, 5, 1), 5, 1).mul(0.6).clamp(-1, 1)


def smooth() -> Tensor:
    """A sky: it changes from top to bottom and a little from left to right."""
    rows, columns = torch.meshgrid(torch.linspace(-0.5, 0.4, SIDE), torch.linspace(-0.05, 0.1, SIDE), indexing="ij")
    return torch.stack([rows + columns, 0.6 * rows, 0.3 - 0.4 * rows])[None]


def levels(pixels: Tensor) -> Tensor:
    side = pixels.shape[3]
    return torch.frombuffer(bytearray(to_rgb_bytes(pixels)), dtype=torch.uint8).reshape(-1, side, 3)


def square(box: tuple[int, int, int, int], side: int = SIDE) -> Tensor:
    mask = torch.zeros(side, side, 1, dtype=torch.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    return mask


def edited(model: Any, image: Tensor, mask: Tensor | None = None, **fields: Any) -> Tensor:
    edit = {"image": IMAGE, "grow": 0, **fields.pop("edit", {})}
    inputs = {IMAGE: levels(image)}
    if mask is not None:
        edit["mask"], inputs[MASK] = MASK, mask
    size = {"width": image.shape[3], "height": image.shape[2]}
    wanted = Recipe.model_validate(
        {"prompt": "a sky", "seed": 1, "steps": 2, "guidance_scale": 1, **size, **fields, "edit": edit}
    )
    return from_rgb(levels(run(job_of(wanted, model, inputs), model)))


def region_of(mask: Tensor) -> Tensor:
    return (mask > 0).permute(2, 0, 1)[None]


def test_gradients_across_the_rim_are_like_those_along_it() -> None:
    """With the ramp that is the default, however deep one looks; `grow` only moves the rim."""
    pairs = [(painting(texture(seed) + WRONG), texture(seed + 10)) for seed in range(8)]  # one rim's texture is chance
    soft = [edited(painter, original, square(BOX)) for painter, original in pairs]
    for width in (1, 4, 6, 8, 12, 16):
        across, along = torch.tensor([across_and_along(found, BOX, width) for found in soft]).sum(0)
        assert across <= MAX_RATIO * along
    hard = [edited(painter, original, square(BOX), edit={"mask_blur": 0}) for painter, original in pairs[:4]]
    across, along = torch.tensor([across_and_along(found, BOX, 1) for found in hard]).sum(0)
    assert across > 2 * along  # which shows that the measure sees a seam


@pytest.mark.parametrize("box", [BOX, (0, 40, 40, 90), (40, 0, 90, 40), (0, 0, 48, 48), (80, 80, SIDE, SIDE)])
def test_on_a_smooth_background_the_colour_does_not_step(box: tuple[int, int, int, int]) -> None:
    mask = square(box)
    found = edited(painting(smooth() + WRONG), smooth(), mask)
    assert colour_step(found, smooth(), region_of(mask)) <= MAX_STEP
    unmatched = edited(painting(smooth() + WRONG), smooth(), mask, edit={"color_match": False})
    assert colour_step(unmatched, smooth(), region_of(mask)) > 3 * MAX_STEP


@pytest.mark.parametrize("box", [BOX, (0, 40, 40, 90), (40, 0, 90, 40), (0, 0, 48, 48), (80, 80, SIDE, SIDE)])
def test_a_cloud_that_is_painted_across_the_rim_of_a_smooth_sky_ends_there(box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = (min(max(place, 8), SIDE - 8) for place in box)  # a rim within the picture
    painted = smooth().clone()
    painted[:, :, top - 8 : bottom + 8, (left + right) // 2 :] = 0.95
    found = edited(painting(painted), smooth(), square(box))
    assert colour_step(found, smooth(), region_of(square(box))) <= MAX_STEP
    unmatched = edited(painting(painted), smooth(), square(box), edit={"color_match": False})
    assert colour_step(unmatched, smooth(), region_of(square(box))) > 3 * MAX_STEP


def test_the_weave_of_a_decoder_does_not_keep_a_sky_from_being_smooth() -> None:
    """A few levels of noise, in squares of a few pixels, as where a U-Net's fine components err."""
    noise = torch.randn(1, 3, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(1)) * WEAVE
    woven = smooth() + F.interpolate(noise, scale_factor=4)
    painted = woven.clone()
    painted[:, :, 24:88, 64:] = 0.95  # a cloud
    assert colour_step(edited(painting(painted), woven, square(BOX)), woven, region_of(square(BOX))) <= MAX_STEP


@pytest.mark.parametrize("middle", [(64, 56), (64, 46), (54, 66)])
def test_a_moon_within_a_small_mask_on_a_smooth_sky_keeps_its_colours(middle: tuple[int, int]) -> None:
    """All of it lies where colours are held or fade, and none where it is blended; the sky around it stays."""
    moon = disc(middle, 12, SIDE)
    found = edited(painting(torch.where(moon, 0.9, smooth())), smooth(), square(BOX), edit={"grow": 12})
    assert (found - 0.9)[moon.expand_as(found)].abs().max() * 127.5 <= MAX_STEP
    around = region_of(square(BOX)) & ~disc(middle, 14, SIDE)
    assert ((found - smooth()) * around).abs().max() * 127.5 <= MAX_STEP


def test_an_edge_that_runs_into_the_rim_stays_as_sharp_as_it_was_painted() -> None:
    original = smooth().clone()
    original[:, :, :, 60:] += 0.4
    found = edited(painting(original + WRONG), original, square(BOX))
    within = found[:, :, BOX[1] : BOX[3], 58:62]
    assert within.diff(dim=3).abs().amax(3).min() > 0.9 * 0.4


@pytest.mark.parametrize(("strength", "overlap"), [(1, 0), (1, 32), (0.75, 32)])
@pytest.mark.parametrize(("x", "y"), [(-64, 0), (64, 0), (0, -64), (0, 64), (-64, -64), (64, 64), (64, -64)])
def test_no_side_and_no_corner_is_outpainted_otherwise(x: int, y: int, strength: float, overlap: int) -> None:
    """The picture is the same on all sides, so the scores are those of the rim alone."""
    frame = {"x": x, "y": y, "width": SIDE, "height": SIDE}
    plain = torch.full((1, 3, SIDE, SIDE), 0.2)
    found = edited(painting(plain + WRONG), plain, edit={"frame": frame, "overlap": overlap, "strength": strength})
    assert (found - plain).abs().max() * 127.5 <= MAX_STEP


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("only_masked", [False, True])
def test_a_rotated_job_gives_the_rotated_picture(turns: int, only_masked: bool) -> None:
    def turn(picture: Tensor) -> Tensor:
        return picture.rot90(turns, (2, 3))

    painted, image, mask = texture(1) + WRONG, texture(2), square((16, 24, 64, 72))
    if only_masked:
        painted = torch.full_like(painted, 0.1)
    edit = {"edit": {"only_masked": only_masked, "padding": 8, "grow": 8}}
    straight = edited(painting(painted), image, mask, **edit)
    turned_mask = turn(mask.permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    rotated = edited(painting(turn(painted)), turn(image), turned_mask, **edit)
    assert (rotated - turn(straight)).abs().max() * 127.5 <= 1.01  # a level, by rounding


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load(Path(models.__file__).parent / "embedded")


@dataclass(frozen=True)
class Plain:
    """The embedded autoencoder with a painter who always paints the same latents."""

    bundle: Bundle
    latents: Tensor
    schedule: Schedule = field(default_factory=lambda: Schedule.from_config({"prediction_type": "sample"}))

    @property
    def config(self) -> Any:
        return self.bundle.config

    def answer(self, calls: Sequence[Call], /) -> list[Tensor]:
        [call] = calls
        return [self.latents] if isinstance(call, Predict) else self.bundle.answer(calls)


def drift_of(
    model: Any, colour: Tensor, *, times: int = 40, steps: int = 1, strength: float = 1, **fields: Any
) -> float:
    """The mean colour after so many outpaints to the right, less that before the first, in levels."""
    image, frame = colour.expand(1, 3, SMALL, SMALL), {"x": SMALL // 2, "y": 0, "width": SMALL, "height": SMALL}
    edit = {"frame": frame, "strength": strength}
    for seed in range(times):
        image = edited(model, image, edit=edit, seed=seed, steps=steps, **fields)
    return float((image - colour).mean((2, 3)).abs().max()) * 127.5


def test_forty_outpaints_by_a_painter_of_wrong_colours_do_not_drift() -> None:
    colour = torch.tensor([0.2, -0.3, 0.5])[:, None, None]
    assert drift_of(painting(colour.expand(1, 3, SMALL, SMALL) + WRONG), colour) <= MAX_DRIFT


def test_forty_outpaints_through_the_embedded_autoencoder_do_not_drift(bundle: Bundle) -> None:
    colour = torch.tensor([60.0, 120.0, 180.0])[:, None, None] / 127.5 - 1
    [latents] = bundle.answer([EncodeImage(colour.expand(1, 3, SMALL, SMALL))])
    assert drift_of(Plain(bundle, latents), colour) <= MAX_DRIFT


def test_outpaints_by_the_embedded_model_leave_a_plain_picture_plain(bundle: Bundle) -> None:
    """Eight, at the strength that is the default, where nothing is asked for; `tests.models.forty` makes all forty."""
    colour = torch.tensor([60.0, 120.0, 180.0])[:, None, None] / 127.5 - 1
    strength = Edit.model_fields["strength"].default
    assert drift_of(bundle, colour, times=8, steps=4, strength=strength, prompt="") <= MAX_DRIFT


@pytest.mark.parametrize(("strength", "is_plain"), [(0.75, True), (1, False)])
def test_beyond_a_plain_picture_the_strength_says_whether_something_else_may_be(
    strength: float, is_plain: bool
) -> None:
    plain, scene = torch.full((1, 3, SIDE, SIDE), 0.2), texture(3)
    frame = {"x": SIDE // 2, "y": 0, "width": SIDE, "height": SIDE}
    found = edited(painting(scene), plain, steps=4, edit={"frame": frame, "strength": strength})
    beyond = (found - plain)[:, :, :, SIDE // 2 :].std() / (scene - plain)[:, :, :, SIDE // 2 :].std()
    assert bool(beyond < 0.3) is is_plain
    assert bool(beyond > 0.8) is not is_plain


def test_beyond_a_picture_that_is_full_of_things_the_painter_is_free() -> None:
    image, scene = texture(5), texture(3)
    frame = {"x": SIDE // 2, "y": 0, "width": SIDE, "height": SIDE}
    found = edited(painting(scene), image, steps=4, edit={"frame": frame, "strength": 0.75})
    there = (slice(None), slice(None), slice(None), slice(3 * SIDE // 4, None))
    assert (found - scene)[there].std() < 0.2 * scene[there].std()


def test_with_the_autoencoder_in_tiles_what_is_kept_is_kept(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def small_tiles() -> Tiling:
        asked.append(True)
        return Tiling(tile=4, overlap=2, max_activations=0)

    monkeypatch.setattr(tiles, "Tiling", small_tiles)
    mask = square(BOX)
    [latents] = bundle.answer([EncodeImage(texture(4))])
    found = edited(Plain(bundle, latents), smooth(), mask, edit={"grow": 12})
    kept = from_rgb(levels(smooth()))
    outside = (distance(region_of(mask), 12) > 12).expand_as(found)
    assert len(asked) >= 2  # to encode and to decode
    assert torch.equal(found[outside], kept[outside])
    assert (found - kept).abs().max() * 127.5 > 3


@pytest.fixture(scope="module")
def clear_day(bundle: Bundle) -> Tensor:
    given = {**bundle.defaults, "prompt": DAY, **FEW}
    return from_rgb(levels(run(txt2img(Recipe.model_validate({**given, "seed": 3}), bundle), bundle).clamp(-1, 1)))


def test_the_embedded_model_repaints_a_sky_without_a_seam(bundle: Bundle, clear_day: Tensor) -> None:
    box = (24, 24, 120, 88)
    mask = square(box, 256)
    found = edited(bundle, clear_day, mask, edit={"strength": 0.75}, prompt=DAY, **FEW)
    outside = ~region_of(mask).expand_as(found)
    assert torch.equal(found[outside], clear_day[outside])
    assert (found - clear_day).abs().max() * 127.5 > 3
    assert colour_step(found, clear_day, region_of(mask)) <= MAX_STEP
    across, along = across_and_along(found, box, 8)
    before = across_and_along(clear_day, box, 8)
    assert across / along <= MAX_RATIO * max(1.0, before[0] / before[1])


def test_a_sun_that_the_embedded_model_paints_into_a_small_mask_comes_out_as_painted(
    bundle: Bundle, clear_day: Tensor
) -> None:
    """Held colours left a third of it."""
    edit, mask, wanted = {"strength": 0.9, "grow": 12}, square((40, 20, 88, 68), 256), f"{DAY} with the sun"
    for seed in range(1, 9):
        found = edited(bundle, clear_day, mask, edit=edit, prompt=wanted, **FEW, seed=seed)
        painted = edited(bundle, clear_day, mask, edit={**edit, "color_match": False}, prompt=wanted, **FEW, seed=seed)
        sun = (painted - clear_day).abs().amax(1, keepdim=True) > 0.5
        if sun.sum() > 400:  # pixels; it does not paint one at every seed
            break
    else:
        pytest.fail("it paints no sun there at any seed")
    differ, painted_differ = ((each - clear_day).abs().amax(1, keepdim=True)[sun].mean() for each in (found, painted))
    assert differ > 0.75 * painted_differ
