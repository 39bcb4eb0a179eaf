"""Stable Diffusion 1.5 in full size, with random weights, read by our loader and by diffusers from the same files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.bench.figure import Figure
from app.cli.bench.measure import forget_peak, peak_bytes, resident_bytes, spread_figure

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from models.bundle import Bundle

NAME = "SD 1.5"
SIDE = 512  # pixels
SEED = 7


@contextmanager
def folder() -> Iterator[Path]:
    """Write the checkpoint in float16, 2 GB, and remove it afterwards. Raises `RuntimeError` without diffusers."""
    try:
        import diffusers  # noqa: F401
    except ImportError as error:
        raise RuntimeError(
            "it compares with diffusers, which the tests bring: python3 -m app test --version"
        ) from error
    from app.cli.bench.measure import apart

    with tempfile.TemporaryDirectory(prefix="mezzotint-bench-") as base:
        path = Path(base) / "checkpoint"
        apart(_write, path)
        yield path


def _write(path: Path) -> None:
    from diffusers import DDIMScheduler

    from app.cli.bench.parity import SCHEDULE, networks

    for part, network in {**networks(NAME), "scheduler": DDIMScheduler(**SCHEDULE)}.items():
        network.save_pretrained(path / part)
    (path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')


def ours(path: Path, dtype: torch.dtype, device: torch.device | str = "cpu") -> Bundle:
    from models.checkpoint.loading import load

    return load(path, device=device, dtype=dtype)


def their_unet(path: Path, dtype: torch.dtype) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(path / "unet", torch_dtype=dtype).eval().requires_grad_(False)


def tuned(unet: Any) -> Any:
    """The same U-Net set up as diffusers' pages on speed advise: channels last, one product for what attention asks.

    Compiled as well where there is a GPU; on a CPU that needs a C++ compiler.
    """
    import torch

    unet.to(memory_format=torch.channels_last)
    unet.fuse_qkv_projections()
    return torch.compile(unet, mode="max-autotune", fullgraph=True) if unet.device.type == "cuda" else unet


def their_vae(path: Path, dtype: torch.dtype) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(path / "vae", torch_dtype=dtype).eval().requires_grad_(False)


def inputs() -> tuple[Tensor, Tensor]:
    """Latents (1, 4, h, w) and the states of two prompts (2, 77, 768)."""
    import torch

    generator = torch.Generator().manual_seed(SEED)
    side = SIDE // 8
    return torch.randn(1, 4, side, side, generator=generator), torch.randn(2, 77, 768, generator=generator)


def peak_of(work: Any) -> tuple[int, int]:
    """Bytes in memory before some work, and at most during it."""
    before = resident_bytes()
    forget_peak()
    work()
    return before, peak_bytes()


def memory(what: str, mine: tuple[int, int], other: tuple[int, int], *, at_most: float) -> Iterator[Figure]:
    """Compare peaks: of everything, and of what comes on top of the loaded networks."""
    gib = 2**30
    yield Figure(f"{what}: peak memory, ours", mine[1] / gib, "GiB")
    yield Figure(f"{what}: peak memory, diffusers", other[1] / gib, "GiB")
    yield Figure(f"{what}: peak memory, ours / diffusers", mine[1] / other[1], "x", at_most=at_most)
    beyond = (mine[1] - mine[0]) / (other[1] - other[0])
    yield spread_figure(f"{what}: memory beyond the networks, ours / diffusers", [beyond], "x")
