"""Train the U-Net and, jointly, the text encoder: v-prediction at zero terminal SNR with caption dropout and EMA."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..config import UNetConfig
from ..schedule import Schedule
from ..unet import UNet
from . import shapes
from .latents import Latents
from .pictures import scene_of
from .plan import Plan
from .probe import Probe
from .render import X_OF
from .scene import Scene, caption
from .words import Words, text_model

DROPOUT = 0.1  # share of captions left empty, for classifier-free guidance (arXiv:2207.12598 algorithm 1)
EMA = 0.999
FOCUS = 6.0
PROBE_RATE, PROBE_WEIGHT = 3e-3, 0.1
SAVE_EVERY = 200


def focus_of(scene: Scene | None, size: int) -> Tensor:
    """Return weights (1, size, size): FOCUS where the thing in front of a described scene stands, 1 elsewhere.

    It fills few places, so what the loss gains from drawing the right one is little: without this, 100,000 samples
    taught the shapes of things but not which word asks for which.
    """
    weights = torch.ones(1, size, size)
    if scene is not None and scene.thing is not None:
        x = round(X_OF[scene.thing_at] * size)
        reach = round(0.2 * size)
        weights[:, round(0.36 * size) : round(0.94 * size), max(0, x - reach) : x + reach] = FOCUS
    return weights


class Networks(nn.Module):
    """What is trained together: `unet` and `text_encoder`."""

    def __init__(self, words: Words) -> None:
        super().__init__()
        self.unet = UNet(UNetConfig.from_dict(shapes.UNET))
        self.text_encoder = text_model(words)

    def encode(self, tokens: Tensor) -> Tensor:
        """Return the hidden states (B, T, D) of token rows (B, T)."""
        with torch.autocast("cpu", torch.bfloat16):
            states: Tensor = self.text_encoder(input_ids=tokens).last_hidden_state
        return states

    def forward(self, noisy: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        prediction: Tensor = self.unet(noisy, timestep, context)
        return prediction


class Run:
    """One training with everything that must be kept to resume it."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        torch.manual_seed(plan.seed)
        self.folder, self.plan = folder, plan
        self.words = Words.of_grammar()
        self.networks = Networks(self.words)
        self.average = copy.deepcopy(self.networks).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.networks.parameters(), plan.learning_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )
        self.probe = Probe(shapes.TEXT["hidden_size"])  # not kept: it learns again within a hundred steps
        self.probe_optimizer = torch.optim.AdamW(self.probe.parameters(), PROBE_RATE)
        self.schedule = Schedule.from_config(shapes.SCHEDULER)
        self.latents = Latents(folder / "latents")
        self.step, self.samples, self.seconds = 0, 0, 0.0
        if self._state.exists():
            self._resume()

    @property
    def _state(self) -> Path:
        return self.folder / "diffusion.pt"

    def _resume(self) -> None:
        state: dict[str, Any] = torch.load(self._state, weights_only=True)
        self.networks.load_state_dict(state["networks"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.samples, self.seconds = state["step"], state["samples"], state["seconds"]

    def save(self) -> None:
        state = {
            "networks": self.networks.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "samples": self.samples,
            "seconds": self.seconds,
        }
        temporary = self._state.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self._state)

    def train(self) -> None:
        """Run to the end of the plan; saved every SAVE_EVERY steps."""
        losses: list[float] = []
        bar = tqdm(total=self.plan.steps, initial=self.step, desc="diffusion")
        clock = time.monotonic()
        while self.step < self.plan.steps:
            losses.append(self._advance())
            bar.update()
            if self.step % SAVE_EVERY == 0 or self.step == self.plan.steps:
                self.seconds, clock = self.seconds + time.monotonic() - clock, time.monotonic()
                self._log(sum(losses) / len(losses))
                losses.clear()
                self.save()
                self.latents.grow()
        bar.close()

    def _advance(self) -> float:
        rng = np.random.default_rng((self.plan.seed, self.step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate(self.step)
        latents, tokens, scenes = self._batch(rng)
        focus = torch.stack([focus_of(scene, latents.shape[-1]) for scene in scenes])
        share = np.sqrt(rng.random(len(latents)))  # high noise levels, where it is decided what is drawn, more often
        timestep = torch.from_numpy((share * len(self.schedule.alphas_cumprod)).astype(np.int64))
        noise = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32))
        context = self.networks.encode(tokens)
        loss = self.loss(self.networks, latents, noise, timestep, context, focus)
        told = self.probe.loss(context, scenes)
        self.optimizer.zero_grad(set_to_none=True)
        self.probe_optimizer.zero_grad(set_to_none=True)
        (loss + PROBE_WEIGHT * told).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        self.optimizer.step()
        self.probe_optimizer.step()
        self.step += 1
        self.samples += len(latents)
        self._update_average()
        return loss.item()

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, list[Scene | None]]:
        """Pick latents and captions; the scene is None where the caption was left empty."""
        chosen = rng.integers(0, len(self.latents.numbers), self.plan.batch)
        speech = Random(int(rng.integers(2**31)))
        scenes = [None if speech.random() < DROPOUT else scene_of(self.latents.numbers[i]) for i in chosen]
        captions = ["" if scene is None else caption(scene, speech) for scene in scenes]
        return self.latents.pick(chosen), self.words.tokens(captions), scenes

    def loss(
        self,
        networks: nn.Module,
        latents: Tensor,
        noise: Tensor,
        timestep: Tensor,
        context: Tensor,
        focus: Tensor | None = None,
    ) -> Tensor:
        """Mean squared error of v (arXiv:2202.00512 appendix D); `focus` (B, 1, h, w) weighs places of the picture."""
        alpha = self.schedule.alphas_cumprod[timestep][:, None, None, None]
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        target = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
        with torch.autocast("cpu", torch.bfloat16):
            prediction = networks(noisy, timestep, context)
        error = (prediction.float() - target).square()
        weights = torch.ones(1) if focus is None else focus
        weighted: Tensor = (error * weights).mean() / weights.mean()
        return weighted

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(EMA, (1 + self.step) / (10 + self.step))
        averages: list[Tensor] = [*self.average.parameters()]
        torch._foreach_lerp_(averages, [*self.networks.parameters()], 1 - decay)

    def _log(self, loss: float) -> None:
        entry = {"step": self.step, "samples": self.samples, "minutes": self.seconds / 60, "loss": loss}
        entry |= {"pictures": len(self.latents.numbers)}
        with open(self.folder / "diffusion.jsonl", "a") as file:
            file.write(json.dumps(entry) + "\n")
