"""Pictures whose edges fit: what the networks see beyond an edge, and who else does not."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.bundle import Bundle
from models.calls import Call, Decode, Encode, EncodeImage, Predict
from models.checkpoint.loading import load
from models.jobs import job_of
from models.noise import NoiseSource
from models.recipe import Recipe
from models.run import run
from models.tiling import tiled, wrapped

SHIFT = 8  # latents; a multiple of what the network's levels halve
RTOL, ATOL = 1e-4, 1e-5  # float32, through all layers


@pytest.fixture(scope="module")
def bundle(checkpoint_of: Callable[[str], Path]) -> Bundle:
    return load(checkpoint_of("sd1"))


def predict(bundle: Bundle, sample: Tensor, *, tiling: bool) -> Predict:
    conds = tuple(bundle.answer([Encode(text)])[0] for text in ("a cat", ""))
    return Predict(sample=sample, timestep=500.0, conds=conds, step=0, steps=1, tiling=tiling)


def rolled(x: Tensor, by: int) -> Tensor:
    return x.roll((by, by), dims=(2, 3))


def test_the_unet_has_no_edges(bundle: Bundle) -> None:
    """Shifting round what goes in shifts what comes out: no place is an edge."""
    sample = NoiseSource(1, (1, 4, 16, 24))()
    here, there = (bundle.answer([predict(bundle, x, tiling=True)])[0] for x in (sample, rolled(sample, SHIFT)))
    torch.testing.assert_close(rolled(here, SHIFT), there, rtol=RTOL, atol=ATOL)


def test_the_decoder_has_no_edges(bundle: Bundle) -> None:
    latents = NoiseSource(1, (1, 4, 16, 24))()
    here, there = (bundle.answer([Decode(x, tiling=True)])[0] for x in (latents, rolled(latents, SHIFT)))
    torch.testing.assert_close(rolled(here, SHIFT * bundle.config.vae_factor), there, rtol=RTOL, atol=ATOL)


def test_the_encoder_has_no_edges(bundle: Bundle) -> None:
    pixels, by = NoiseSource(1, (1, 3, 128, 192))(), SHIFT * bundle.config.vae_factor
    here, there = (bundle.answer([EncodeImage(x, tiling=True)])[0] for x in (pixels, rolled(pixels, by)))
    torch.testing.assert_close(rolled(here, SHIFT), there, rtol=RTOL, atol=ATOL)


def test_without_tiling_there_are_edges(bundle: Bundle) -> None:
    latents = NoiseSource(1, (1, 4, 16, 24))()
    here, there = (bundle.answer([Decode(x)])[0] for x in (latents, rolled(latents, SHIFT)))
    assert not torch.allclose(rolled(here, SHIFT * bundle.config.vae_factor), there, rtol=RTOL, atol=ATOL)


def test_nobody_else_sees_that_a_picture_tiles(bundle: Bundle) -> None:
    sample = NoiseSource(1, (1, 4, 8, 8))()
    calls: list[Call] = [predict(bundle, sample, tiling=False), Decode(sample)]
    before = [bundle.answer([call])[0] for call in calls]

    bundle.answer([predict(bundle, sample, tiling=True)])
    bundle.answer([Decode(sample, tiling=True)])

    assert all(torch.equal(bundle.answer([call])[0], found) for call, found in zip(calls, before, strict=True))


def test_a_tiling_prediction_is_equal_to_the_bit_in_company(bundle: Bundle) -> None:
    calls = [predict(bundle, NoiseSource(seed, (1, 4, 8, 8))(), tiling=True) for seed in range(3)]
    for call, answer in zip(calls, bundle.answer(calls), strict=True):
        assert torch.equal(answer, bundle.answer([call])[0])


def test_the_wrapped_network_has_the_same_tensors() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 1))
    twin = wrapped(network)

    for one, other in zip(network.parameters(), twin.parameters(), strict=True):
        assert one is other
    assert [part.padding_mode for part in network.modules() if isinstance(part, nn.Conv2d)] == ["zeros", "zeros"]
    assert [part.padding_mode for part in twin.modules() if isinstance(part, nn.Conv2d)] == ["circular", "zeros"]


def test_its_memory_is_counted_once(bundle: Bundle, checkpoint_of: Callable[[str], Path]) -> None:
    bundle.answer([predict(bundle, NoiseSource(1, (1, 4, 8, 8))(), tiling=True)])
    assert sum(tensor.nbytes for tensor in bundle._tensors) == load(checkpoint_of("sd1")).bytes


class Listening:
    """Answers as a bundle does, and remembers what was asked."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.calls = bundle, list[Call]()

    def answer(self, calls: Sequence[Call], /) -> list[Tensor]:
        self.calls += calls
        return self.bundle.answer(calls)


def test_a_tiling_recipe_asks_all_networks_to_tile(bundle: Bundle) -> None:
    recipe = Recipe(prompt="a cat", seed=1, steps=2, width=64, height=64, tiling=True)
    listening = Listening(bundle)
    pixels = run(job_of(recipe, bundle, {}), listening)

    assert {call.tiling for call in listening.calls if not isinstance(call, Encode)} == {True}
    assert not torch.equal(pixels, run(job_of(recipe.model_copy(update={"tiling": False}), bundle, {}), bundle))


def test_a_tiling_job_that_is_closed_closes_the_job_within() -> None:
    closed = []

    def job() -> Generator[Call, Tensor, Tensor]:
        try:
            return (yield Encode("a cat"))
        finally:
            closed.append(True)

    outer = tiled(job())
    next(outer)
    outer.close()
    assert closed == [True]
