"""Train the decoder on latents of an encoder that moves no more: first with noise added, at last on the U-Net's own.

The noise makes it forgive the small errors of a U-Net: without it, pictures get a mosaic look. The U-Net's own latents
(`drafts.py`) show it which errors these are.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from ..checkpoint.headers import CheckpointError
from ..config import VAEConfig
from ..devices import autocast
from ..vae import VAE
from .clock import Clock
from .design import Design, design_named
from .drafts import drafts
from .pictures import HELD_OUT, picture_of, scene_of, to_pixels
from .plan import Plan
from .processes import in_processes
from .scene import WORLDS
from .speech import caption
from .state import keep, take

if TYPE_CHECKING:
    from .diffusion import Run

MAX_NOISE = {"decoder": 0.08, "polish": 0.03}  # in units of the first latent channel's standard deviation
SURROUNDINGS = 9  # pixels a side: from what is smaller, a star stands out
PART = 25  # pictures that a process draws, or the encoder takes, at a time
LOG_EVERY, SAVE_EVERY = 25, 200
FIRST = 7_500_000


class Decoding:
    """The training of the decoder of `vae.safetensors` in a folder, kept so that it can be resumed.

    `stage` is "decoder" or "polish".
    """

    def __init__(
        self, folder: Path, design: Design, plan: Plan, device: torch.device | str = "cpu", stage: str = "decoder"
    ) -> None:
        torch.manual_seed(plan.seed)
        self.stage = stage
        self.folder, self.design, self.plan, self.device = folder, design, plan, torch.device(device)
        self.vae = load(folder, design).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.vae.decoder.parameters(), plan.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3, fused=True
        )
        self.step, self.clock = 0, Clock()
        if self._state.exists():
            state: dict[str, Any] = torch.load(self._state, weights_only=True, map_location=self.device)
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.clock.seconds = state["step"], state["seconds"]

    @property
    def _state(self) -> Path:
        return self.folder / f"{self.stage}.pt"

    @property
    def is_over(self) -> bool:
        return self.plan.progress(self.step, self.clock.seconds) >= 1

    def train(self, pictures: int, workers: int, deadline: float | None = None) -> None:
        """Go on to the end of the plan or to the deadline (of `time.monotonic`)."""
        if not self.is_over:
            pool = self._rendered(pictures, workers)
            self._train(pool, [encode(self.vae, pool)], deadline)

    def polish(self, run: Run, pictures: int, workers: int, deadline: float | None = None) -> None:
        """The same on what the networks of `run` make of the pictures, and on every third as it is."""
        if not self.is_over:
            pool = self._rendered(pictures, workers)
            latents = encode(self.vae, pool)
            own = drafts(run, latents, captions(self.design, FIRST, pictures))
            self._train(pool, [latents, own, own], deadline)

    def _rendered(self, pictures: int, workers: int) -> Tensor:
        return torch.from_numpy(rendered(self.design, FIRST, pictures, workers)).to(self.device)

    def _train(self, pool: Tensor, sources: list[Tensor], deadline: float | None) -> None:
        self.clock.deadline = deadline
        self.clock.start()
        losses: list[float] = []
        with tqdm(desc=self.stage, initial=self.step, total=self.plan.steps or None) as bar:
            while not (self.is_over or self.clock.is_up):
                loss = self._advance(pool, sources)
                bar.update()
                self.clock.tick()
                losses.append(loss)
                if self.step % LOG_EVERY == 0:
                    self._log(losses)
                if self.step % SAVE_EVERY == 0:
                    self._save()
        self._log(losses)
        self._save()

    def _advance(self, pool: Tensor, sources: list[Tensor]) -> float:
        rng = np.random.default_rng((self.plan.seed, self.step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate(self.step, self.clock.seconds)
        chosen = torch.from_numpy(rng.integers(0, len(pool), self.plan.batch)).to(self.device)
        pixels = to_pixels(pool[chosen])
        strengths = rng.uniform(0, MAX_NOISE[self.stage], (len(chosen), 1, 1, 1))
        strength = torch.from_numpy(strengths.astype(np.float32))
        clean = sources[rng.integers(len(sources))][chosen].float()
        noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32)).to(self.device)
        with autocast(self.device):
            decoded = self.vae.decode(clean + strength.to(self.device) * noise).float()
        loss = reconstruction_loss(decoded, pixels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.vae.decoder.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return loss.item()

    def _log(self, losses: list[float]) -> None:
        if not losses:
            return
        entry = {"step": self.step, "minutes": self.clock.seconds / 60, "loss": sum(losses) / len(losses)}
        with open(self.folder / f"{self.stage}.jsonl", "a") as file:
            file.write(json.dumps(entry | {"psnr": psnr(self.vae, self.design)}) + "\n")
        losses.clear()

    def _save(self) -> None:
        save(self.vae, self.folder)
        state = {"optimizer": self.optimizer.state_dict(), "step": self.step, "seconds": self.clock.seconds}
        keep(self._state, lambda part: torch.save(state, part))


def load(folder: Path, design: Design) -> VAE:
    """Load the autoencoder of a work folder, in whatever state of training. Raises `CheckpointError`."""
    file, vae = folder / "vae.safetensors", VAE(VAEConfig.from_dict(design.vae))
    if not file.exists():
        raise CheckpointError(f"{folder} has no autoencoder; make one with the stage 'autoencoder' first")
    take(vae, load_file(file), file, design)
    return vae


def save(vae: VAE, folder: Path) -> None:
    tensors = {name: tensor.cpu().contiguous() for name, tensor in vae.state_dict().items()}
    keep(folder / "vae.safetensors", lambda part: save_file(tensors, part))


def rendered(design: Design, first: int, count: int, workers: int) -> NDArray[np.uint8]:
    """Render pictures `first` onwards of the design's world: (count, H, W, 3)."""
    jobs = [
        (design.world, design.image_size, start, min(PART, first + count - start))
        for start in range(first, first + count, PART)
    ]
    return np.concatenate(list(in_processes(_part, jobs, workers, "pictures")))


def captions(design: Design, first: int, count: int) -> list[str]:
    """Describe the pictures of `rendered`."""
    world = WORLDS[design.world]
    return [caption(scene_of(number, world), Random(number)) for number in range(first, first + count)]


def _part(job: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    world, size, first, count = job
    return np.stack([picture_of(number, size, WORLDS[world]) for number in range(first, first + count)])


@torch.no_grad()
def encode(vae: VAE, pictures: Tensor) -> Tensor:
    """Return the mean latents (N, C, h, w), float16, of uint8 pictures (N, H, W, 3) on the networks' device."""
    return torch.cat([vae.encode(to_pixels(part))[0].half() for part in torch.split(pictures, PART)])


def reconstruction_loss(decoded: Tensor, pixels: Tensor) -> Tensor:
    """L1 + L2 + L1 of the gradients, which keeps edges crisp, + L2 weighed by how much a pixel stands out in either.

    L1 asks for the median, which is the sky wherever a star may stand or may not: without the last term no star came
    back from latents in which a linear decoder still found two thirds of them.
    """
    difference = decoded - pixels
    edges = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
    detail = torch.maximum(_detail(pixels), _detail(decoded.detach()))
    details = (detail * difference.square()).mean() / detail.mean().clamp_min(1e-6)
    return difference.abs().mean() + difference.square().mean() + 0.5 * edges + details


def _detail(pixels: Tensor) -> Tensor:
    """Return (N, 1, H, W): how far each pixel is from the mean around it."""
    around = F.avg_pool2d(pixels, SURROUNDINGS, 1, SURROUNDINGS // 2, count_include_pad=False)
    return (pixels - around).abs().mean(dim=1, keepdim=True)


@cache
def held_out(design_name: str, count: int) -> NDArray[np.uint8]:
    """Render pictures that are never trained on."""
    design = design_named(design_name)
    return np.stack([picture_of(HELD_OUT + i, design.image_size, WORLDS[design.world]) for i in range(count)])


@torch.no_grad()
def psnr(vae: VAE, design: Design, count: int = 16) -> float:
    """Return the mean PSNR in dB over held-out pictures, without noise."""
    pool = torch.from_numpy(held_out(design.name, count)).to(next(vae.parameters()).device)
    decoded = vae.decode(encode(vae, pool).float()).clamp(-1, 1)
    error = ((decoded - to_pixels(pool)) / 2).square().mean(dim=(1, 2, 3))
    return float((-10 * error.log10()).mean())
