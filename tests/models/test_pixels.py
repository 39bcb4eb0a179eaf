from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from models.noise import NoiseSource
from models.pixels import from_rgb, pixel_sha256, to_rgb_bytes
from models.preview import preview

SD1_FACTORS = {"weight": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]], "bias": [0.1, 0, -0.1]}


def test_bytes_are_those_that_diffusers_saves() -> None:
    from diffusers.image_processor import VaeImageProcessor

    pixels = NoiseSource(1, (1, 3, 24, 16))() * 0.8

    theirs = VaeImageProcessor().postprocess(pixels, output_type="pil")[0]

    assert to_rgb_bytes(pixels) == theirs.tobytes()


def test_halves_round_to_even() -> None:
    levels = torch.arange(0, 255) + 0.5
    pixels = (levels / 255 * 2 - 1).reshape(1, 1, 1, 255).expand(1, 3, 1, 255)
    reached = ((pixels / 2 + 0.5).clamp(0, 1) * 255)[0, 0, 0].numpy()

    assert np.frombuffer(to_rgb_bytes(pixels), np.uint8)[::3].tolist() == reached.round().tolist()


def test_rows_come_from_the_top_and_channels_in_the_order_red_green_blue() -> None:
    pixels = torch.full((1, 3, 2, 2), -1.0)
    pixels[0, 0, 0, 1] = 1
    pixels[0, 2, 1, 0] = 5

    assert list(to_rgb_bytes(pixels)) == [0, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 0]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_it_refuses_what_is_not_finite(value: float) -> None:
    pixels = torch.zeros(1, 3, 2, 2)
    pixels[0, 1, 1, 1] = value

    with pytest.raises(FloatingPointError, match="not finite"):
        to_rgb_bytes(pixels)


@pytest.mark.parametrize("shape", [(3, 2, 2), (2, 3, 2, 2), (1, 4, 2, 2)])
def test_it_refuses_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="pixels have the shape"):
        to_rgb_bytes(torch.zeros(shape))


def test_the_sum_is_that_of_the_raw_bytes() -> None:
    rgb = bytes(range(24))

    assert pixel_sha256(rgb, 4, 2) == hashlib.sha256(rgb).hexdigest()


def test_the_sum_refuses_bytes_of_another_size() -> None:
    with pytest.raises(ValueError, match="24 bytes are not an RGB picture of 4 x 3"):
        pixel_sha256(bytes(24), 4, 3)


def test_a_preview_projects_with_the_factors_of_the_checkpoint() -> None:
    latents = NoiseSource(1, (1, 4, 3, 5))() * 0.2

    colours = preview(latents, SD1_FACTORS)

    expected = latents[0, :, 2, 4] @ torch.tensor(SD1_FACTORS["weight"]) + torch.tensor(SD1_FACTORS["bias"])
    assert colours.shape == (1, 3, 3, 5)
    torch.testing.assert_close(colours[0, :, 2, 4], expected)


def test_a_preview_may_show_several_colours_a_latent() -> None:
    latents = NoiseSource(1, (1, 6, 3, 5))() * 0.2
    weight, bias = NoiseSource(2, (1, 1, 6, 12))()[0, 0], torch.linspace(-0.3, 0.3, 12)

    colours = preview(latents, {"weight": weight.tolist(), "bias": bias.tolist()})

    expected = (latents[0, :, 2, 4] @ weight + bias).reshape(3, 2, 2).clamp(-1, 1)
    assert colours.shape == (1, 3, 6, 10)
    torch.testing.assert_close(colours[0, :, 4:6, 8:10], expected)


def test_a_preview_stays_in_range() -> None:
    latents = NoiseSource(1, (1, 4, 8, 8))() * 10

    assert float(preview(latents, SD1_FACTORS).abs().max()) == 1
    assert float(preview(latents, None).abs().max()) == 1


def test_a_preview_without_factors_knows_stable_diffusion() -> None:
    white = torch.tensor([2.5, 0.2, 0.5, -1.9]).reshape(1, 4, 1, 1)  # near what the VAE makes of a white picture

    assert float(preview(white, None).min()) > 0.5
    assert float(preview(-white, None).max()) < -0.5


@pytest.mark.parametrize("channels", [1, 2, 3, 8, 16])
def test_a_preview_without_factors_shows_other_latents_over_the_whole_range(channels: int) -> None:
    colours = preview(NoiseSource(1, (1, channels, 8, 8))() * 30, None)

    assert colours.shape == (1, 3, 8, 8)
    assert float(colours.min()) == pytest.approx(-1)
    assert float(colours.max()) == pytest.approx(1)


def test_a_preview_of_constant_latents_is_finite() -> None:
    assert bool(preview(torch.zeros(1, 8, 4, 4), None).isfinite().all())


def test_a_preview_refuses_factors_of_another_size() -> None:
    with pytest.raises(ValueError, match=r"have the shapes \(4, 3\) and \(3,\); latents of 8 channels"):
        preview(torch.zeros(1, 8, 4, 4), SD1_FACTORS)


def test_levels_come_back_as_they_were() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(16, 16, 1).expand(16, 16, 3)

    assert to_rgb_bytes(from_rgb(levels)) == levels.contiguous().numpy().tobytes()
