"""A painter in place of networks: it encodes and decodes without loss, and paints what it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from models.calls import Call, Decode, Encode, EncodeImage, Predict
from models.schedule import Schedule
from tests.models.toy import Config


@dataclass(frozen=True)
class Painter:
    """`paint` makes pixels (B, 3, H, W) of a height and width; every call is noted."""

    paint: Callable[[int, int], Tensor]
    config: Config = field(default_factory=lambda: Config(latent_channels=192, unet_in_channels=192))
    schedule: Schedule = field(default_factory=lambda: Schedule.from_config({"prediction_type": "sample"}))
    calls: list[Call] = field(default_factory=list)

    def answer(self, calls: Sequence[Call], /) -> list[Tensor]:
        self.calls.extend(calls)
        return [self._one(call) for call in calls]

    def _one(self, call: Call) -> Tensor:
        match call:
            case Encode():
                return torch.zeros(7, 5)
            case EncodeImage(pixels):
                return F.pixel_unshuffle(pixels, 8)
            case Decode(latents):
                return F.pixel_shuffle(latents, 8)
            case Predict(sample):
                return F.pixel_unshuffle(self.paint(8 * sample.shape[2], 8 * sample.shape[3]), 8)

    def worked_on(self) -> list[tuple[int, ...]]:
        """Height and width of each picture that was encoded."""
        return [tuple(call.pixels.shape[2:]) for call in self.calls if isinstance(call, EncodeImage)]

    def steps(self) -> list[tuple[int, int]]:
        """Which step of how many each prediction was."""
        return [(call.step, call.steps) for call in self.calls if isinstance(call, Predict)]
