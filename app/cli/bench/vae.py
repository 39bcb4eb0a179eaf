"""Decoding a picture of 512 pixels by Stable Diffusion's autoencoder against diffusers, with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.bench.figure import Figure
from app.cli.bench.full_size import folder, inputs, memory, ours, peak_of, their_vae
from app.cli.bench.measure import agree, apart, in_turns, prepare, ratios
from app.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from models.bundle import Bundle

ROUNDS = 2
WANTED, LEAST_MEMORY = 0.75, 0.8
TOLERANCE = 1e-5


def measure(_settings: Settings) -> Iterator[Figure]:
    """About two minutes on two cores."""
    import torch

    prepare()
    with folder() as path:
        mine, theirs = our_decode(ours(path, torch.float32)), their_decode(their_vae(path, torch.float32))
        yield agree("decode", mine(), theirs(), TOLERANCE)
        timings = in_turns({"ours": mine, "diffusers": theirs}, rounds=ROUNDS, warm=False)
        for side, timing in timings.items():
            yield timing.figure(f"decode of 512 px, float32, {side}")
        yield from ratios("decode, ours / diffusers eager", timings["ours"], timings["diffusers"], at_most=WANTED)
        yield from memory("decode", apart(our_memory, path), apart(their_memory, path), at_most=LEAST_MEMORY)


def our_decode(bundle: Bundle) -> Callable[[], Tensor]:
    from models.calls import Decode

    latents, _ = inputs()
    return lambda: bundle.answer([Decode(latents)])[0]


def their_decode(vae: Any) -> Callable[[], Tensor]:
    import torch

    latents, _ = inputs()

    @torch.inference_mode()
    def decode() -> Tensor:
        found: Tensor = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
        return found

    return decode


def our_memory(path: Path) -> tuple[int, int]:
    import torch

    from models import tiles
    from models.checkpoint.facts import layout_of
    from models.checkpoint.weights import network
    from models.vae import VAE

    files, (latents, _) = layout_of(path), inputs()
    vae = network(lambda: VAE(files.vae), files.weights("vae"), torch.device("cpu"), torch.float32)
    with torch.inference_mode():
        return peak_of(lambda: tiles.decode(vae, latents / files.vae.scaling_factor))


def their_memory(path: Path) -> tuple[int, int]:
    import torch

    return peak_of(their_decode(their_vae(path, torch.float32)))
