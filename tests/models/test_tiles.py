"""The autoencoder in tiles against the autoencoder at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import models
from models.bundle import Bundle
from models.config import VAEConfig
from models.tiles import MAX_ACTIVATIONS, Tiling, _shares, decode, decode_in_parts, encode, finished
from models.vae import VAE
from tests.reference.oracle import make_vae

LEVEL = 2 / 255  # of -1..1
EMBEDDED = Path(models.__file__).parent / "embedded"


@pytest.fixture(scope="module")
def small() -> VAE:
    theirs = make_vae()
    ours = VAE(VAEConfig.from_dict(dict(theirs.config))).eval()
    ours.load_state_dict(theirs.state_dict())
    return ours


@pytest.fixture(scope="module")
def trained(loaded: Callable[[Path], Bundle]) -> VAE:
    return loaded(EMBEDDED).vae


@pytest.fixture(scope="module")
def landscape() -> Tensor:
    """A bright sky over dark ground with a sun: tiles whose own statistics would differ as much as they can."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 384), torch.linspace(0, 1, 512), indexing="ij")
    sky = torch.stack([1 - rows, 0.9 - 0.5 * rows, torch.ones_like(rows)])
    ground = torch.stack([-0.6 + 0.2 * columns, -0.4 + 0.1 * rows, torch.full_like(rows, -0.8)])
    picture = torch.where(rows + 0.1 * torch.sin(9 * columns) < 0.6, sky, ground)
    picture = torch.where((rows - 0.2).square() + (1.5 * columns - 1).square() < 0.01, 1.0, picture)
    return picture[None]


@pytest.mark.parametrize("size", [(64, 64), (70, 130), (40, 65), (20, 300)])
def test_the_shares_of_all_tiles_are_one_everywhere(size: tuple[int, int]) -> None:
    x = torch.zeros(1, 2, *size)
    total = torch.zeros(1, 1, *size)
    for (top, bottom, left, right), share in _shares(x, 32, 8).items():
        assert (bottom - top, right - left) == (min(32, size[0]), min(32, size[1]))
        total[:, :, top:bottom, left:right] += share
    torch.testing.assert_close(total, torch.ones_like(total))


@torch.no_grad()
def test_small_pictures_are_done_at_once(small: VAE) -> None:
    z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(decode(small, z), small.decode(z))
    pixels = small.decode(z)
    assert torch.equal(encode(small, pixels), small.encode(pixels)[0])


@torch.no_grad()
@pytest.mark.parametrize("tiling", [Tiling(), Tiling(tile=4, overlap=2, max_activations=1)])
def test_decoding_stops_after_each_block_or_tile_and_comes_to_the_same(small: VAE, tiling: Tiling) -> None:
    z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    stops = len(list(decode_in_parts(small, z, tiling)))
    tiles = tiling.rounds * len(_shares(z, 4, 2)) if tiling.tile == 4 else len(small.config.block_out_channels)
    assert stops == 1 + tiles
    if tiling == Tiling():
        assert torch.equal(finished(decode_in_parts(small, z, tiling)), small.decode(z))


def test_tiles_begin_beyond_what_stable_diffusion_makes_at_once(small: VAE) -> None:
    assert MAX_ACTIVATIONS == 1024 * 1024 * 128
    assert not Tiling().is_needed(small, 1024, 1024)
    assert Tiling(max_activations=8 * 512 * 512 - 1).is_needed(small, 512, 512)


def test_the_embedded_decoder_which_holds_little_is_never_asked_for_tiles() -> None:
    """It works on pixels folded 16 x 16: tiles hold no less than the whole (`tests.models.held`) and take longer."""
    config = VAEConfig.from_dict(json.loads((EMBEDDED / "vae" / "config.json").read_text()))
    with torch.device("meta"):
        vae = VAE(config).eval()
    assert not Tiling().is_needed(vae, 4096, 4096)


@torch.no_grad()
def test_with_a_round_for_each_norm_tiles_are_equal_to_the_whole() -> None:
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    theirs = make_vae(block_out_channels=(8, 16), layers_per_block=1, **blocks)
    vae = VAE(VAEConfig.from_dict(dict(theirs.config))).eval()
    vae.load_state_dict(theirs.state_dict())
    z = torch.randn(1, 4, 40, 48, generator=torch.Generator().manual_seed(1)) + torch.linspace(-2, 2, 48)
    tiling = Tiling(tile=36, overlap=28, max_activations=0, rounds=10)
    whole = vae.decode(z)
    assert (decode(vae, z, tiling) - whole).abs().max() <= 0.01 * whole.std()
    latents = vae.encode(whole)[0]
    assert (encode(vae, whole, tiling) - latents).abs().max() <= 0.01 * latents.std()
    once = decode(vae, z, Tiling(36, 28, 0, rounds=1))
    assert (once - whole).abs().max() > 0.1 * whole.std()  # which shows that the norms matter


@torch.no_grad()
def test_a_trained_network_shows_no_tiles(trained: VAE, landscape: Tensor) -> None:
    z = trained.encode(landscape)[0]
    whole = trained.decode(z)
    in_tiles = decode(trained, z, Tiling(tile=16, overlap=8, max_activations=0))
    difference = in_tiles - whole
    assert difference.abs().mean() <= LEVEL
    edges = F.avg_pool2d(difference, 16).diff(dim=3).abs()  # from cell to cell
    assert edges.mean() <= LEVEL / 4
    assert edges.max() <= 2 * LEVEL
    assert (encode(trained, landscape, Tiling(16, 8, 0)) - z).abs().max() <= 1e-4
