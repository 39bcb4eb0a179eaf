"""Every tensor is on the device of its network: nothing is left on the CPU, or mixed with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from app.places import embedded_path
from models.bundle import Bundle
from models.calls import Call, Decode, Encode, EncodeImage, Predict
from models.checkpoint.loading import load
from tests.models.checkpoint.conftest import Loaded, Written, family
from tests.second_device import second_device

TOLERANCE = 1e-5  # relative L2, float32


def calls_of(bundle: Bundle) -> list[list[Call]]:
    """Calls of every kind, small, and such as can be answered together."""
    config, generator = bundle.config, torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    latents, pixels = noise(1, config.latent_channels, 8, 6), noise(1, 3, 4 * config.vae_factor, 2 * config.vae_factor)
    conds = tuple(noise(config.max_tokens, config.context_width) for _ in range(2))
    pair = [Predict(latents, 321.5, conds, step=0, steps=1), Predict(latents, 20.0, conds[:1], step=0, steps=1)]
    return [
        [Encode("a (lake:1.3) by the mountains"), Encode("a cabin", clip_skip=2)],
        [*pair],
        [Predict(latents, 321.5, conds, step=0, steps=1, tiling=True)],
        [Decode(latents), Decode(latents, tiling=True)],
        [EncodeImage(pixels), EncodeImage(pixels, tiling=True)],
    ]


@pytest.mark.parametrize("name", ["embedded", "sd2-v"])  # with transformers' text encoder, and with open_clip's
def test_a_checkpoint_on_another_device_answers_as_on_the_cpu(
    name: str, written: Written, loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = embedded_path()
    if name != "embedded":
        path = tmp_path / "unsaid.safetensors"  # so that what it predicts is tried out, too
        path.hardlink_to(written(family(name), "file"))
    there = loaded(path)
    with second_device(monkeypatch) as device:
        here = load(path, device)
        tower = [*here.image_tower.parameters()] if here.image_tower else []  # which stays on the CPU: it is small
        assert {tensor.device for tensor in here._tensors if all(tensor is not one for one in tower)} == {device}
        for calls in calls_of(here):
            for found, wanted in zip(here.answer(calls), there.answer(calls), strict=True):
                assert found.device.type == "cpu"
                assert (found - wanted).norm() <= TOLERANCE * wanted.norm()
        picture = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
        match = here.match("a lake", picture)
        assert (match is None) == (name != "embedded")
        if match is not None:
            assert match == pytest.approx(there.match("a lake", picture), rel=1e-3)
