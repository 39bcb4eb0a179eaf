"""A step with guidance of Stable Diffusion 1.5 at 512 pixels against diffusers, with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.bench.figure import Figure
from app.cli.bench.full_size import folder, inputs, memory, ours, peak_of, their_unet, tuned
from app.cli.bench.measure import agree, apart, gemm_peak, in_turns, prepare, ratios
from app.settings import Settings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from models.bundle import Bundle

ROUNDS = 2
TIMESTEP = 501
FULL, HALF = 0.85, 0.52
TOLERANCES = {"float32": 1e-5, "bfloat16": 5e-2}
LEAST_MEMORY = 0.8


def measure(_settings: Settings) -> Iterator[Figure]:
    """About four minutes on two cores: writing and loading two of them, each call 4 to 13 s."""
    prepare()
    with folder() as path:
        yield from _times(path)
        yield from memory("SD 1.5 step", apart(our_memory, path), apart(their_memory, path), at_most=LEAST_MEMORY)


def _times(path: Path) -> Iterator[Figure]:
    import torch

    from models.devices import has_bfloat16

    dtypes = (torch.float32, torch.bfloat16)
    known = dtypes if has_bfloat16("cpu") else dtypes[:1]  # in the other diffusers takes minutes a step
    mine = {dtype: our_step(ours(path, dtype)) for dtype in dtypes}
    theirs = {dtype: their_step(their_unet(path, dtype), dtype) for dtype in known}
    best = their_step(tuned(their_unet(path, torch.float32)), torch.float32)
    reference = theirs[torch.float32]()
    yield agree("SD 1.5 step, diffusers tuned", best(), reference, TOLERANCES["float32"])
    for dtype in dtypes:
        name = _name(dtype)
        yield agree(f"SD 1.5 step, {name}", mine[dtype](), reference, TOLERANCES[name])
    if torch.bfloat16 in known:
        theirs[torch.bfloat16]()
    both = {"ours": mine, "diffusers": theirs}
    sides = {f"{_name(dtype)}, {side}": step for side, steps in both.items() for dtype, step in steps.items()}
    sides["float32, diffusers tuned"] = best
    timings = in_turns(sides, rounds=ROUNDS, warm=False)
    for name, timing in timings.items():
        yield timing.figure(f"SD 1.5 step, 512 px, guidance, {name}")
    full, half, base = (timings[name] for name in ("float32, ours", "bfloat16, ours", "float32, diffusers"))
    yield from ratios("step, float32, ours / diffusers eager", full, base, at_most=FULL)
    yield from ratios("step, float32, ours / diffusers tuned", full, timings["float32, diffusers tuned"])
    if torch.bfloat16 in known:
        yield from ratios("step, ours in bfloat16 / diffusers in float32", half, base, at_most=HALF)
        yield from ratios("step, bfloat16, ours / diffusers eager", half, timings["bfloat16, diffusers"])
    else:  # nothing is quicker in it then: half the memory is what it is for
        yield from ratios("step, ours with weights in bfloat16 / diffusers in float32", half, base, at_most=FULL)
    yield from _shares(full.median, base.median)


def _shares(mine: float, theirs: float) -> Iterator[Figure]:
    """Operations of direct convolutions a second, as a share of what a large matrix product reaches."""
    import torch

    from app.cli.bench.parity import CONFIGS, VAE
    from models.config import UNetConfig, VAEConfig
    from models.cost import Costs

    costs = Costs(UNetConfig.from_dict(CONFIGS["SD 1.5"]["unet"]), VAEConfig.from_dict(VAE))
    peak, operations = gemm_peak(torch.float32), 2 * costs.row(64, 64)
    yield Figure("matrix product of 2048, float32", peak / 1e9, "GFLOP/s")
    yield Figure("step, float32, ours, share of that", operations / mine / peak, "x")
    yield Figure("step, float32, diffusers, share of that", operations / theirs / peak, "x")


def our_step(bundle: Bundle) -> Callable[[], Tensor]:
    """A step as the engine takes it: one `Predict` of two rows."""
    from models.calls import Predict

    latents, states = inputs()
    call = Predict(latents, float(TIMESTEP), tuple(states), step=0, steps=1)
    return lambda: bundle.answer([call])[0]


def their_step(unet: Any, dtype: torch.dtype) -> Callable[[], Tensor]:
    """A step as `StableDiffusionPipeline` takes it."""
    import torch

    latents, states = inputs()
    rows, states = latents.expand(2, -1, -1, -1).to(dtype), states.to(dtype)

    @torch.inference_mode()
    def step() -> Tensor:
        found: Tensor = unet(rows, TIMESTEP, encoder_hidden_states=states, return_dict=False)[0]
        return found

    return step


def our_memory(path: Path) -> tuple[int, int]:
    import torch

    return peak_of(our_step(ours(path, torch.float32)))


def their_memory(path: Path) -> tuple[int, int]:
    """With the networks that `load` loads, too."""
    import torch
    from transformers import CLIPTextModel

    from app.cli.bench.full_size import their_vae

    others = CLIPTextModel.from_pretrained(path / "text_encoder", dtype=torch.float32), their_vae(path, torch.float32)
    found = peak_of(their_step(their_unet(path, torch.float32), torch.float32))
    del others
    return found


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
