"""Train the U-Net and, jointly, the text encoder: v-prediction at zero terminal SNR with caption dropout and EMA."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from ..checkpoint.headers import CheckpointError
from ..config import UNetConfig
from ..devices import autocast
from ..schedule import Schedule
from ..unet import UNet
from .clock import Clock
from .design import SCHEDULER, Design
from .pairs import ANEW, Pairs
from .plan import Plan
from .probe import IGNORED, Probe
from .scene import POSITIONS, WORLDS
from .sky import X_OF
from .state import keep, take
from .words import Words, meaning, text_model

DROPOUT = 0.1  # share of captions left empty, for classifier-free guidance (arXiv:2207.12598 algorithm 1)
EMA = 0.999
THING_WEIGHT, DIFFERENCE_WEIGHT = 3.0, 6.0
DIFFERENCE = 0.12  # of latents; smaller ones are rounding
PROBE_RATE, PROBE_WEIGHT = 3e-3, 0.1
LOG_EVERY, SAVE_EVERY = 25, 200
Predictor = Callable[[Tensor, Tensor, Tensor], Tensor]


class Networks(nn.Module):
    """What is trained together: `unet` and `text_encoder`."""

    def __init__(self, design: Design, words: Words) -> None:
        super().__init__()
        self.unet = UNet(UNetConfig.from_dict(design.unet))
        self.text_encoder = text_model(design, words)

    def encode(self, tokens: Tensor) -> Tensor:
        """Return the hidden states (B, T, D) of token rows (B, T)."""
        states: Tensor = self.text_encoder(input_ids=tokens).last_hidden_state
        return states

    def forward(self, noisy: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        prediction: Tensor = self.unet(noisy, timestep, context)
        return prediction


class Run:
    """One training with everything that must be kept to resume it."""

    def __init__(self, folder: Path, design: Design, plan: Plan, device: torch.device | str = "cpu") -> None:
        torch.manual_seed(plan.seed)
        self.folder, self.design, self.plan, self.device = folder, design, plan, torch.device(device)
        self.words = Words.of_grammar(design)
        self.networks = Networks(design, self.words).to(self.device)
        self.networks.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.networks).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.networks.parameters(), plan.learning_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )
        world = WORLDS[design.world]
        self.probe = Probe(design.text["hidden_size"], world).to(self.device)  # not kept: it learns again soon
        self.place = [*world.classes].index("thing_at")
        self.probe_optimizer = torch.optim.AdamW(self.probe.parameters(), PROBE_RATE)
        self.alphas = Schedule.from_config(SCHEDULER).alphas_cumprod.to(self.device)
        self.step, self.samples, self.clock = 0, 0, Clock()
        if self._state.exists():
            self._resume()

    @property
    def _state(self) -> Path:
        return self.folder / "diffusion.pt"

    def _resume(self) -> None:
        state: dict[str, Any] = torch.load(self._state, weights_only=True, map_location=self.device)
        if state.get("meaning") != meaning(self.design.world):
            raise CheckpointError(f"{self._state} was trained on other words or scenes than those of now; {ANEW}")
        take(self.networks, state["networks"], self._state, self.design)
        take(self.average, state["average"], self._state, self.design)
        if state["optimizer"] is not None:
            self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.samples, self.clock.seconds = state["step"], state["samples"], state["seconds"]

    def save(self) -> None:
        state = {
            "meaning": meaning(self.design.world),
            "networks": self.networks.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "samples": self.samples,
            "seconds": self.clock.seconds,
        }
        keep(self._state, lambda part: torch.save(state, part))

    @property
    def has_begun(self) -> bool:
        """Whether there is anything of it to take up, and not random weights alone."""
        return self._state.exists()

    @property
    def is_over(self) -> bool:
        return self.plan.progress(self.step, self.clock.seconds) >= 1

    def train(self, deadline: float | None = None, *, compiled: bool = False) -> None:
        """Go on to the end of the plan or to the deadline (of `time.monotonic`); saved every SAVE_EVERY steps."""
        if self.is_over:
            return
        shapes = Pairs.load(self.folder / "pairs", self.design.world, self.device)
        shares = np.array([len(pairs) for pairs in shapes]) / sum(len(pairs) for pairs in shapes)
        predict: Predictor = torch.compile(self.networks) if compiled else self.networks
        losses: list[Tensor] = []
        self.clock.deadline = deadline
        self.clock.start()
        with tqdm(desc="diffusion", initial=self.step, total=self.plan.steps or None) as bar:
            while not (self.is_over or self.clock.is_up):
                rng = np.random.default_rng((self.plan.seed, self.step))
                pairs = shapes[rng.choice(len(shapes), p=shares)]
                losses.append(self._advance(pairs, predict, rng))
                bar.update()
                self.clock.tick()
                if self.step % LOG_EVERY == 0:
                    self._log(losses)
                if self.step % SAVE_EVERY == 0:
                    self.save()
        self._log(losses)
        self.save()

    def _advance(self, pairs: Pairs, predict: Predictor, rng: np.random.Generator) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate(self.step, self.clock.seconds)
        latents, tokens, labels = self._batch(pairs, rng)
        share = torch.from_numpy(timestep_shares(len(latents) // 2, rng)).repeat_interleave(2)
        timestep = (share * len(self.alphas)).long().to(self.device)
        noise = self._noise(latents)
        with autocast(self.device):
            context = self.networks.encode(tokens)
        loss = self.loss(predict, latents, noise, timestep, context, weights_of(latents, labels[:, self.place]))
        told = self.probe.loss(context, labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.probe_optimizer.zero_grad(set_to_none=True)
        (loss + PROBE_WEIGHT * told).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        self.optimizer.step()
        self.probe_optimizer.step()
        self.step += 1
        self.samples += len(latents)
        self._update_average()
        return loss.detach()

    def _batch(self, pairs: Pairs, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Pick pairs: latents (B, C, h, w), tokens (B, T) and labels (B, L), of which the two of a pair are neighbours.

        `plan.batch` is that of square pictures; of larger ones there are fewer, so that each step costs the same.
        Where the caption is dropped, all labels are IGNORED.
        """
        shrunk = self.design.unet["sample_size"] ** 2 / pairs.latents[0, 0, 0].numel()
        count = max(1, round(shrunk * self.plan.batch / 2))
        chosen = torch.from_numpy(rng.integers(0, len(pairs), count)).to(self.device)
        wording = torch.from_numpy(rng.integers(0, pairs.tokens.shape[1], count)).to(self.device)
        dropped = torch.from_numpy(rng.random(count) < DROPOUT).to(self.device)[:, None, None]
        empty = self.words.tokens([""]).to(self.device)
        tokens = torch.where(dropped, empty, pairs.tokens[chosen, wording].long())
        labels = torch.where(dropped, IGNORED, pairs.labels[chosen].long())
        latents = pairs.latents[chosen].float()
        return latents.flatten(0, 1), tokens.flatten(0, 1), labels.flatten(0, 1)

    def _noise(self, latents: Tensor) -> Tensor:
        """Equal noise for the two of a pair."""
        generator = torch.Generator(self.device).manual_seed(self.plan.seed * 1_000_003 + self.step)
        noise = torch.randn(latents[::2].shape, generator=generator, device=self.device)
        return noise.repeat_interleave(2, dim=0)

    def loss(
        self, predict: Predictor, latents: Tensor, noise: Tensor, timestep: Tensor, context: Tensor, weights: Tensor
    ) -> Tensor:
        """Mean squared error of v (arXiv:2202.00512 appendix D); `weights` (B, 1, h, w) weighs places."""
        alpha = self.alphas[timestep][:, None, None, None]
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        target = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
        with autocast(self.device):
            prediction = predict(noisy.contiguous(memory_format=torch.channels_last), timestep, context)
        error = (prediction.float() - target).square()
        weighted: Tensor = (error * weights).mean() / weights.mean()
        return weighted

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(EMA, (1 + self.step) / (10 + self.step))
        averages: list[Tensor] = [*self.average.parameters()]
        torch._foreach_lerp_(averages, [*self.networks.parameters()], 1 - decay)

    def _log(self, losses: list[Tensor]) -> None:
        if not losses:
            return
        entry = {"step": self.step, "samples": self.samples, "minutes": self.clock.seconds / 60}
        with open(self.folder / "diffusion.jsonl", "a") as file:
            file.write(json.dumps(entry | {"loss": float(torch.stack(losses).mean())}) + "\n")
        losses.clear()


def timestep_shares(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return timesteps as shares 0..1 of all: evenly, but more of those where it is decided what stands where.

    A tenth is the very last, at which every sampler begins and where nothing but the caption is known. With one step
    in twenty below 0.3, where edges are decided, pictures looked smeared.
    """
    u, kind = rng.random(count), rng.random(count)
    shares: np.ndarray = np.where(kind < 0.1, 0.9999, np.where(kind < 0.25, 0.7 + 0.3 * u, u))
    return shares


def weights_of(latents: Tensor, places: Tensor) -> Tensor:
    """Return weights (B, 1, h, w): DIFFERENCE_WEIGHT where the two of a pair differ, THING_WEIGHT where a thing stands.

    `places` (B,) are positions of things, IGNORED where there is none or where the caption was dropped.

    What a thing fills is little of the picture, and so is what the loss gains from drawing the right one: without
    weights, 100,000 samples taught the shapes of things but not which word asks for which. Weighing both places of a
    thing that moved also says where none must be.
    """
    first, second = latents[::2], latents[1::2]
    differs = ((first - second).abs().amax(1, keepdim=True) > DIFFERENCE).float()
    spread = F.max_pool2d(differs, 3, stride=1, padding=1).repeat_interleave(2, dim=0)
    return torch.maximum(1 + (DIFFERENCE_WEIGHT - 1) * spread, _thing_weights(places, *latents.shape[-2:]))


def _thing_weights(places: Tensor, height: int, width: int) -> Tensor:
    masks = torch.ones(len(POSITIONS) + 1, 1, height, width, device=places.device)
    for number, position in enumerate(POSITIONS):
        x, reach = round(X_OF[position] * width), max(1, round(0.2 * width))
        masks[number, :, round(0.36 * height) : round(0.94 * height), max(0, x - reach) : x + reach] = THING_WEIGHT
    return masks[torch.where(places == IGNORED, len(POSITIONS), places)]
