"""Train an autoencoder that folds nothing, from scratch: what a GPU does and two cores cannot.

Afterwards its latents are turned onto their principal axes and scaled, inside its 1 x 1 convolutions, so that coarse
channels come first and dominate the U-Net's loss as those of `principal.py` do; then `decoder.py` goes on with noise.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..config import VAEConfig
from ..devices import autocast
from ..vae import VAE
from . import decoder
from .clock import Clock
from .decoder import reconstruction_loss, rendered
from .design import Design
from .pictures import to_pixels
from .plan import Plan
from .principal import POSTERIOR_STD
from .state import keep, take

KL_WEIGHT = 1e-3  # a latent element; at 1e-5 the posterior shrank to nothing
SETTLED_ON = 512  # pictures of which the axes are taken
LOG_EVERY, SAVE_EVERY = 25, 200
FIRST = 7_000_000


class Autoencoding:
    """The training of encoder and decoder together; writes `vae.safetensors` when it is over."""

    def __init__(self, folder: Path, design: Design, plan: Plan, device: torch.device | str = "cpu") -> None:
        torch.manual_seed(plan.seed)
        self.folder, self.design, self.plan, self.device = folder, design, plan, torch.device(device)
        self.vae = VAE(VAEConfig.from_dict(design.vae)).to(self.device)
        self.vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(self.vae.parameters(), plan.learning_rate, betas=(0.9, 0.99), fused=True)
        self.step, self.clock = 0, Clock()
        if self._state.exists():
            state: dict[str, Any] = torch.load(self._state, weights_only=True, map_location=self.device)
            take(self.vae, state["vae"], self._state, design)
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.clock.seconds = state["step"], state["seconds"]

    @property
    def _state(self) -> Path:
        return self.folder / "autoencoder.pt"

    @property
    def is_over(self) -> bool:
        return self.plan.progress(self.step, self.clock.seconds) >= 1

    def train(self, pictures: int, workers: int, deadline: float | None = None) -> None:
        """Go on to the end of the plan, then settle the latents; or to the deadline (of `time.monotonic`)."""
        if (self.folder / "vae.safetensors").exists():
            return
        pool = torch.from_numpy(rendered(self.design, FIRST, pictures, workers)).to(self.device)
        self.clock.deadline = deadline
        self.clock.start()
        losses: list[Tensor] = []
        with tqdm(desc="autoencoder", initial=self.step, total=self.plan.steps or None) as bar:
            while not (self.is_over or self.clock.is_up):
                losses.append(self._advance(pool))
                bar.update()
                self.clock.tick()
                if self.step % LOG_EVERY == 0:
                    self._log(losses)
                if self.step % SAVE_EVERY == 0:
                    self._save()
        self._log(losses)
        self._save()
        if self.is_over:
            settle(self.vae, decoder.encode(self.vae, pool[:SETTLED_ON]).float().cpu())
            decoder.save(self.vae, self.folder)

    def _advance(self, pool: Tensor) -> Tensor:
        rng = np.random.default_rng((self.plan.seed, self.step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate(self.step, self.clock.seconds)
        chosen = torch.from_numpy(rng.integers(0, len(pool), self.plan.batch)).to(self.device)
        pixels = to_pixels(pool[chosen]).contiguous(memory_format=torch.channels_last)
        generator = torch.Generator(self.device).manual_seed(self.plan.seed * 1_000_003 + self.step)
        with autocast(self.device):
            mean, logvar = (part.float() for part in self.vae.encode(pixels))
            noise = torch.randn(mean.shape, generator=generator, device=self.device)
            decoded = self.vae.decode(mean + (logvar / 2).exp() * noise).float()
        loss = reconstruction_loss(decoded, pixels) + KL_WEIGHT * divergence(mean, logvar)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.vae.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return loss.detach()

    def _log(self, losses: list[Tensor]) -> None:
        if not losses:
            return
        entry = {"step": self.step, "minutes": self.clock.seconds / 60, "loss": float(torch.stack(losses).mean())}
        with open(self.folder / "autoencoder.jsonl", "a") as file:
            file.write(json.dumps(entry | {"psnr": decoder.psnr(self.vae, self.design)}) + "\n")
        losses.clear()

    def _save(self) -> None:
        state = {
            "vae": self.vae.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.clock.seconds,
        }
        keep(self._state, lambda part: torch.save(state, part))


def divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence from the standard normal for each latent, arXiv:1312.6114 appendix B."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()


@torch.no_grad()
def settle(vae: VAE, latents: Tensor) -> None:
    """Turn the latents onto the principal axes of `latents` (N, C, h, w), in place, without changing any picture.

    Channel k then has the standard deviation (s_k / s_1) ** 0.5, with s_k that of component k, and mean 0.
    """
    before, after = vae.quant_conv, vae.post_quant_conv
    assert before is not None
    assert after is not None
    rows = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1]).double()
    variance, vectors = torch.linalg.eigh(torch.cov(rows.T))
    deviation = variance.flip(0).clamp_min(1e-12).sqrt()
    scale = (deviation / deviation[0]).sqrt() / deviation
    center = rows.mean(0)
    turn = scale[:, None] * vectors.flip(1).T  # settled = turn (z - center)
    back = vectors.flip(1) / scale
    channels = len(center)
    device = before.weight.device
    weight, bias = before.weight[:, :, 0, 0].double().cpu(), _bias(before).double().cpu()
    mean_weight, mean_bias = turn @ weight[:channels], turn @ (bias[:channels] - center)
    before.weight[:channels] = mean_weight[:, :, None, None].float().to(device)
    before.weight[channels:] = 0
    _bias(before)[:channels] = mean_bias.float().to(device)
    _bias(before)[channels:] = 2 * float(np.log(POSTERIOR_STD))
    weight, bias = after.weight[:, :, 0, 0].double().cpu(), _bias(after).double().cpu()
    _bias(after).copy_((bias + weight @ center).float())
    after.weight.copy_((weight @ back)[:, :, None, None].float())


def _bias(layer: torch.nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
