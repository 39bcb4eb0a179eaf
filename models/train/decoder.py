"""Train the decoder of the embedded model on the latents of `principal.py`, with noise added to them.

The noise makes it forgive the small errors of a U-Net: without it, pictures get a mosaic look.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from ..config import VAEConfig
from ..vae import VAE
from . import shapes
from .pictures import HELD_OUT, picture_of, to_pixels
from .plan import Plan
from .principal import Principal, autoencoder

MAX_NOISE = 0.12  # in units of the first latent channel's standard deviation
PICTURES = 5000
SAVE_EVERY = 200


def train(folder: Path, plan: Plan) -> VAE:
    """Train, or go on training, the autoencoder in `folder`; its encoder is built and does not move."""
    torch.manual_seed(plan.seed)
    principal = Principal.load(folder / "principal.safetensors")
    vae = autoencoder(principal)
    optimizer = torch.optim.AdamW(_trained(vae), plan.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
    first = _resume(folder, vae, optimizer)
    pool = np.stack([picture_of(number) for number in tqdm(range(PICTURES), "pictures")])
    started = time.monotonic()
    for step in tqdm(range(first, plan.steps), "decoder", initial=first, total=plan.steps):
        rng = np.random.default_rng((plan.seed, step))
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(step)
        loss = decoder_loss(vae, principal, to_pixels(_batch(pool, plan.batch, rng)), rng)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(_trained(vae), 1.0)
        optimizer.step()
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == plan.steps:
            entry = {"step": step + 1, "minutes": (time.monotonic() - started) / 60, "loss": loss.item()}
            with open(folder / "decoder.jsonl", "a") as file:
                file.write(json.dumps(entry | {"psnr": psnr(vae, principal)}) + "\n")
            _save(folder, vae, optimizer, step + 1)
    return vae


def load(folder: Path) -> VAE:
    """Load the autoencoder as `train` left it."""
    vae = VAE(VAEConfig.from_dict(shapes.VAE))
    vae.load_state_dict(load_file(folder / "vae.safetensors"))
    return vae


def _trained(vae: VAE) -> list[torch.nn.Parameter]:
    return [*vae.decoder.parameters()]


def _resume(folder: Path, vae: VAE, optimizer: torch.optim.Optimizer) -> int:
    if not (folder / "decoder.pt").exists():
        return 0
    state: dict[str, Any] = torch.load(folder / "decoder.pt", weights_only=True)
    vae.load_state_dict(load_file(folder / "vae.safetensors"))
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _save(folder: Path, vae: VAE, optimizer: torch.optim.Optimizer, step: int) -> None:
    for name, write in (
        ("vae.safetensors", lambda path: save_file({k: v.contiguous() for k, v in vae.state_dict().items()}, path)),
        ("decoder.pt", lambda path: torch.save({"optimizer": optimizer.state_dict(), "step": step}, path)),
    ):
        temporary = folder / f"{name}.tmp"
        write(temporary)
        temporary.replace(folder / name)


def _batch(pool: NDArray[np.uint8], batch: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pick pictures, half of them mirrored."""
    chosen = pool[rng.integers(0, len(pool), batch)]
    return np.stack([picture[:, ::-1] if rng.random() < 0.5 else picture for picture in chosen])


def decoder_loss(vae: VAE, principal: Principal, pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """L1 + L2 + L1 of the gradients, which keeps edges crisp, from latents with noise of random strength."""
    latents = principal.encode(pixels)
    strength = torch.from_numpy(rng.uniform(0, MAX_NOISE, (len(latents), 1, 1, 1)).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32))
    with torch.autocast("cpu", torch.bfloat16):
        decoded = vae.decode(latents + strength * noise).float()
    difference = decoded - pixels
    edges = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
    return F.l1_loss(decoded, pixels) + difference.square().mean() + 0.5 * edges


@torch.no_grad()
def psnr(vae: VAE, principal: Principal, count: int = 16) -> float:
    """Return the mean PSNR in dB over held-out pictures, without noise."""
    pixels = to_pixels(np.stack([picture_of(HELD_OUT + i) for i in range(count)]))
    with torch.autocast("cpu", torch.bfloat16):
        decoded = vae.decode(principal.encode(pixels)).float().clamp(-1, 1)
    error = ((decoded - pixels) / 2).square().mean(dim=(1, 2, 3))
    return float((-10 * error.log10()).mean())
