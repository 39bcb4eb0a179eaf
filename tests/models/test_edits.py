"""Edits as jobs, on a checkpoint without networks: what they keep, what they ask for, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.calls import Backdrop, Call, Decode, Encode, EncodeImage, Predict
from models.edit import Infill, MaskedContent
from models.jobs import img2img, job_of
from models.masks import grown
from models.pixels import from_rgb, to_rgb_bytes
from models.recipe import Recipe, Sampler
from models.run import run
from tests.models.toy import Config, Toy

IMAGE, MASK = "a" * 64, "b" * 64
WIDTH, HEIGHT = 96, 80


@pytest.fixture
def image() -> Tensor:
    return torch.randint(0, 256, (HEIGHT, WIDTH, 3), generator=torch.Generator().manual_seed(4), dtype=torch.uint8)


@pytest.fixture
def mask() -> Tensor:
    white = torch.zeros(HEIGHT, WIDTH, 1, dtype=torch.uint8)
    white[30:50, 41:60] = 255
    return white


def recipe(*, recipe: Mapping[str, Any] | None = None, **edit: Any) -> Recipe:
    frame = edit.get("frame") or {"width": WIDTH, "height": HEIGHT}
    size = {"width": frame["width"], "height": frame["height"]}
    fields = {"prompt": "a cabin", "seed": 7, "steps": 4, **size, **(recipe or {})}
    return Recipe.model_validate({**fields, "edit": {"image": IMAGE, **edit}})


def frame_of(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "width": width, "height": height}


def made(wanted: Recipe, inputs: Mapping[str, Tensor], toy: Toy | None = None) -> Tensor:
    """The edited picture's levels (H, W, 3)."""
    toy = toy or Toy()
    rgb = to_rgb_bytes(run(job_of(wanted, toy, inputs), toy))
    return torch.frombuffer(bytearray(rgb), dtype=torch.uint8).reshape(wanted.height, wanted.width, 3)


def asked(wanted: Recipe, inputs: Mapping[str, Tensor], toy: Toy | None = None) -> list[Call]:
    toy, calls = toy or Toy(), []
    job = job_of(wanted, toy, inputs)
    try:
        calls.append(next(job))
        while True:
            calls.append(job.send(toy.answer(calls[-1:])[0]))
    except StopIteration:
        return calls


@pytest.mark.parametrize("masked_content", list(MaskedContent))
@pytest.mark.parametrize("only_masked", [False, True])
@pytest.mark.parametrize("grow", [0, 11])
def test_outside_the_grown_mask_no_pixel_changes(
    image: Tensor, mask: Tensor, grow: int, only_masked: bool, masked_content: MaskedContent
) -> None:
    wanted = recipe(mask=MASK, grow=grow, only_masked=only_masked, masked_content=masked_content, strength=0.8)
    changed = (made(wanted, {IMAGE: image, MASK: mask}) != image).any(2)
    kept = grown(mask.permute(2, 0, 1)[None] / 255, grow)[0, 0] == 0
    assert not changed[kept].any()
    assert changed[~kept].float().mean() > 0.9


@pytest.mark.parametrize("sampler", list(Sampler))
@pytest.mark.parametrize("channels", [4, 9])
def test_every_sampler_keeps_what_is_known(image: Tensor, mask: Tensor, sampler: Sampler, channels: int) -> None:
    wanted = recipe(mask=MASK, recipe={"sampler": sampler, "eta": 0.5}, grow=0, mask_blur=0, color_match=False)
    toy = Toy(config=Config(unet_in_channels=channels))
    found = made(wanted, {IMAGE: image, MASK: mask}, toy)
    assert torch.equal(found[mask[..., 0] == 0], image[mask[..., 0] == 0])
    assert (found[mask[..., 0] > 0] != image[mask[..., 0] > 0]).float().mean() > 0.9


def test_a_blank_mask_gives_the_image_and_asks_for_nothing(image: Tensor, mask: Tensor) -> None:
    inputs = {IMAGE: image, MASK: torch.zeros_like(mask)}
    assert torch.equal(made(recipe(mask=MASK, strength=1), inputs), image)
    assert asked(recipe(mask=MASK, strength=1), inputs) == []


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_full_mask_is_image_to_image(image: Tensor, channels: int, strength: float) -> None:
    white = torch.full((HEIGHT, WIDTH, channels), 255, dtype=torch.uint8)
    wanted = recipe(mask=MASK, strength=strength)
    plain = run(img2img(wanted, Toy(), from_rgb(image), strength), Toy())
    assert made(wanted, {IMAGE: image, MASK: white}).numpy().tobytes() == to_rgb_bytes(plain)
    assert torch.equal(made(recipe(strength=strength), {IMAGE: image}), made(wanted, {IMAGE: image, MASK: white}))


def test_strength_0_changes_nothing_but_fills_what_was_not_there(image: Tensor, mask: Tensor) -> None:
    assert torch.equal(made(recipe(mask=MASK, strength=0), {IMAGE: image, MASK: mask}), image)
    assert torch.equal(made(recipe(strength=0), {IMAGE: image}), image)
    wider = made(recipe(frame=frame_of(-16, 0, WIDTH + 16, HEIGHT), strength=0), {IMAGE: image})
    assert torch.equal(wider[:, 16:], image)
    assert wider[:, :16].float().std() > 1


@pytest.mark.parametrize("infill", list(Infill))
def test_outpainting_keeps_the_image_but_for_the_overlap(image: Tensor, infill: Infill) -> None:
    wanted = recipe(frame=frame_of(-24, -16, 144, 120), grow=40, overlap=8, infill=infill, strength=1)
    found = made(wanted, {IMAGE: image})
    inside = found[16 : 16 + HEIGHT, 24 : 24 + WIDTH]
    assert torch.equal(inside[9:-9, 9:-9], image[9:-9, 9:-9])
    assert (found[:16] != 0).any()
    assert not torch.equal(inside[:4], image[:4])


def test_of_a_small_picture_no_more_than_a_quarter_is_repainted_beside_what_is_outpainted(image: Tensor) -> None:
    wanted = recipe(frame=frame_of(0, 0, 160, HEIGHT), strength=1)
    assert torch.equal(made(wanted, {IMAGE: image})[:, : WIDTH - 20], image[:, : WIDTH - 20])
    assert not torch.equal(made(wanted, {IMAGE: image})[:, WIDTH - 20 : WIDTH], image[:, WIDTH - 20 :])


def test_a_frame_within_the_image_is_image_to_image_of_that_part(image: Tensor) -> None:
    wanted = recipe(frame=frame_of(8, 16, 64, 64), strength=0.6)
    part = run(img2img(wanted, Toy(), from_rgb(image[16:80, 8:72]), 0.6), Toy())
    assert made(wanted, {IMAGE: image}).numpy().tobytes() == to_rgb_bytes(part)


def test_what_is_transparent_is_repainted_and_nothing_else(image: Tensor) -> None:
    opacity = torch.full((HEIGHT, WIDTH, 1), 255, dtype=torch.uint8)
    opacity[20:40, 20:40] = 0
    found = made(recipe(grow=0, strength=1), {IMAGE: torch.cat((image, opacity), 2)})
    assert torch.equal(found[opacity[..., 0] == 255], image[opacity[..., 0] == 255])
    assert (found[20:40, 20:40] != image[20:40, 20:40]).float().mean() > 0.9


def test_colours_under_transparency_do_not_matter(image: Tensor) -> None:
    opacity = torch.full((HEIGHT, WIDTH, 1), 255, dtype=torch.uint8)
    opacity[20:40, 20:40] = 128
    other = image.clone()
    other[20:40, 20:40] = 0
    first, second = (made(recipe(), {IMAGE: torch.cat((rgb, opacity), 2)}) for rgb in (image, other))
    assert torch.equal(first, second)


@pytest.mark.parametrize("factor", [8, 16])
def test_sizes_that_the_checkpoint_cannot_make_are_worked_on_larger_and_cut(mask: Tensor, factor: int) -> None:
    image = torch.full((72, 88, 3), 90, dtype=torch.uint8)
    wanted = recipe(frame=frame_of(0, 0, 88, 72), mask=MASK, strength=1)
    inputs, toy = {IMAGE: image, MASK: mask[:72, :88]}, Toy(config=Config(vae_factor=factor))
    assert made(wanted, inputs, toy).shape == (72, 88, 3)
    shapes = {call.sample.shape[2:] for call in asked(wanted, inputs, toy) if isinstance(call, Predict)}
    assert shapes == {torch.Size((-(-72 // factor), -(-88 // factor)))}
    assert made(recipe(frame=frame_of(0, 0, 88, 72)), inputs, toy).shape == (72, 88, 3)


def test_only_masked_works_on_the_surroundings_at_the_native_size(image: Tensor, mask: Tensor) -> None:
    toy = Toy(config=Config(width=128, height=64))
    calls = asked(recipe(mask=MASK, only_masked=True, padding=4, grow=0), {IMAGE: image, MASK: mask}, toy)
    encoded = next(call for call in calls if isinstance(call, EncodeImage))
    assert encoded.pixels.shape[2:] == (64, 128)
    predict = next(call for call in calls if isinstance(call, Predict))
    assert isinstance(predict.backdrop, Backdrop)
    left, top, width, height = predict.backdrop.place
    assert (left, top) <= (37, 26)
    assert (left + width, top + height) >= (60, 50)
    assert width / height == pytest.approx(2, abs=0.1)


def test_only_masked_works_at_the_size_that_is_asked_for(image: Tensor, mask: Tensor) -> None:
    wanted = recipe(mask=MASK, only_masked=True, work_width=192, work_height=160)
    encoded = next(call for call in asked(wanted, {IMAGE: image, MASK: mask}) if isinstance(call, EncodeImage))
    assert encoded.pixels.shape[2:] == (160, 192)


def test_an_inpainting_network_is_given_the_mask_and_the_masked_image(image: Tensor, mask: Tensor) -> None:
    toy = Toy(config=Config(unet_in_channels=9))
    calls = asked(recipe(mask=MASK, grow=0), {IMAGE: image, MASK: mask}, toy)
    assert [type(call) for call in calls[:4]] == [Encode, Encode, EncodeImage, EncodeImage]
    masked = calls[3]
    assert isinstance(masked, EncodeImage)
    assert (masked.pixels[0, :, 30:50, 41:60] == 0).all()
    assert torch.equal(masked.pixels[0, :, :30], from_rgb(image)[0, :, :30])
    for call in calls:
        if isinstance(call, Predict):
            assert call.extra is not None
            assert call.extra.shape == (1, 5, 10, 12)
            white = np.zeros((10, 12))
            white[3:7, 5:8] = 1  # every cell that the mask touches
            assert call.extra[0, 0].tolist() == white.tolist()
            assert torch.equal(call.extra[:, 1:], toy.answer([masked])[0])


def test_the_known_part_has_one_noise_at_every_step(image: Tensor, mask: Tensor) -> None:
    wanted = recipe(mask=MASK, strength=1, recipe={"sampler": "euler_a", "steps": 5})
    toy = Toy()
    calls = asked(wanted, {IMAGE: image, MASK: mask}, toy)
    latents = toy.answer([EncodeImage(from_rgb(image))])[0]
    sigmas = toy.schedule.sigmas(5)
    noises = [
        (call.sample * (sigma**2 + 1) ** 0.5 - latents) / sigma
        for call, sigma in zip((call for call in calls if isinstance(call, Predict)), sigmas, strict=False)
    ]
    expected = torch.randn(latents.shape, generator=torch.Generator("cpu").manual_seed(7))
    for noise in noises[1:]:  # the first begins as noise alone
        torch.testing.assert_close(noise[..., 0], expected[..., 0], atol=1e-3, rtol=1e-3)


def test_what_is_known_is_decoded_without_noise(image: Tensor, mask: Tensor) -> None:
    calls = asked(recipe(mask=MASK, recipe={"steps": 6}), {IMAGE: image, MASK: mask})
    decode = calls[-1]
    assert isinstance(decode, Decode)
    latents = Toy().answer([EncodeImage(from_rgb(image))])[0]
    assert torch.equal(decode.latents[..., :2], latents[..., :2])


def test_grey_changes_as_image_to_image_of_that_strength_would(image: Tensor) -> None:
    grey = torch.full((HEIGHT, WIDTH, 1), 128, dtype=torch.uint8)
    grey[:, : WIDTH // 2] = 255
    wanted = recipe(mask=MASK, strength=1, recipe={"steps": 10})
    toy = Toy()
    calls = asked(wanted, {IMAGE: image, MASK: grey}, toy)
    latents = toy.answer([EncodeImage(from_rgb(image))])[0]
    kept = [
        bool((call.denoised[..., -1] == latents[..., -1]).all())
        for call in calls
        if isinstance(call, Predict) and call.denoised is not None
    ]
    assert kept == [True] * 5 + [False] * 4  # half of the ten steps, the last of which is decoded


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_latent_noise_is_drawn_before_the_initial_noise_which_a_subseed_turns(
    image: Tensor, mask: Tensor, share: float
) -> None:
    toy, variation = Toy(), {"subseed": 8, "subseed_strength": share}
    wanted = recipe(mask=MASK, strength=0.5, masked_content="latent_noise", recipe=variation)
    calls = asked(wanted, {IMAGE: image, MASK: mask}, toy)
    first = next(call for call in calls if isinstance(call, Predict))
    generator, shape = torch.Generator("cpu").manual_seed(7), (1, 4, 10, 12)
    content, noise = (torch.randn(shape, generator=generator) for _ in range(2))
    if share:
        noise = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(8))
    sigma = toy.schedule.sigmas(4)[2]
    begun = first.sample * (sigma**2 + 1) ** 0.5
    torch.testing.assert_close(begun[0, :, 4, 6], (content + noise * sigma)[0, :, 4, 6])


@pytest.mark.parametrize("content", list(MaskedContent))
def test_an_edit_beside_others_gives_the_pixels_that_it_gives_alone(
    image: Tensor, mask: Tensor, content: MaskedContent
) -> None:
    toy, inputs = Toy(), {IMAGE: image, MASK: mask}
    recipes = [
        recipe(mask=MASK, masked_content=content, strength=strength, recipe={"sampler": "dpmpp_2m_sde", "seed": seed})
        for seed, strength in enumerate((0.5, 0.8, 1.0))
    ]
    alone = [run(job_of(one, toy, inputs), toy) for one in recipes]
    jobs = [job_of(one, toy, inputs) for one in recipes]
    pending, together = {index: next(job) for index, job in enumerate(jobs)}, dict[int, Tensor]()
    while pending:
        for index, call in list(pending.items()):
            try:
                pending[index] = jobs[index].send(toy.answer([call])[0])
            except StopIteration as finished:
                together[index] = finished.value
                del pending[index]
    assert all(torch.equal(together[index], pixels) for index, pixels in enumerate(alone))


def test_a_mask_of_another_size_is_refused_with_both_sizes(image: Tensor, mask: Tensor) -> None:
    with pytest.raises(ValueError, match=r"edit.mask is 95 x 80, the image is 96 x 80"):
        made(recipe(mask=MASK), {IMAGE: image, MASK: mask[:, 1:]})


def test_a_frame_beside_the_image_is_refused(image: Tensor) -> None:
    with pytest.raises(ValueError, match="shows nothing of the image, which is 96 x 80"):
        made(recipe(frame=frame_of(96, 0, 64, 64)), {IMAGE: image})


def test_without_a_frame_the_image_is_scaled_to_the_size_of_the_recipe() -> None:
    shades = torch.linspace(0, 255, WIDTH).to(torch.uint8)[None, :, None].expand(HEIGHT, WIDTH, 3)
    found = made(recipe(strength=0, recipe={"width": 192, "height": 160}), {IMAGE: shades})
    shrunk = found.reshape(HEIGHT, 2, WIDTH, 2, 3).float().mean((1, 3))
    assert (shrunk - shades).abs().max() < 2
