"""A checkpoint without networks, for tests of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.calls import Call, Decode, Encode, EncodeImage, Predict
from models.schedule import Schedule


@dataclass(frozen=True)
class Config:
    latent_channels: int = 4
    unet_in_channels: int = 4
    vae_factor: int = 8
    width: int = 64
    height: int = 64


@dataclass(frozen=True)
class Toy:
    """A checkpoint whose networks are one line each; what it predicts depends on the extra channels too."""

    config: Config = field(default_factory=Config)
    schedule: Schedule = field(
        default_factory=lambda: Schedule.from_config({"beta_schedule": "scaled_linear", "steps_offset": 1})
    )

    def answer(self, calls: Sequence[Call], /) -> list[Tensor]:
        return [self._one(call) for call in calls]

    def _one(self, call: Call) -> Tensor:
        match call:
            case Encode(text):
                return torch.full((7, 5), len(text) / 10)
            case Predict(sample, timestep, conds):
                if call.extra is not None:
                    sample = sample + call.extra.mean()
                return torch.cat([torch.tanh(sample * 1.2 + timestep / 1000 + cond.mean()) for cond in conds])
            case Decode(latents):
                return torch.nn.functional.interpolate(latents[:, :3], scale_factor=float(self.config.vae_factor))
            case EncodeImage(pixels):
                return torch.nn.functional.avg_pool2d(pixels, self.config.vae_factor)[:, (0, 1, 2, 0)]
