"""How well a picture shows its prompt: the image tower of a small CLIP, beside the text encoder of a checkpoint.

Picture and prompt are taken to one space, in which those that belong together point the same way (arXiv:2103.00020);
how alike they are is told as a probability (the sigmoid of arXiv:2303.15343 section 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.config import ConfigError

NORM_GROUPS = 8
SCALE, BIAS = 10.0, -2.0  # what training begins with


@dataclass(frozen=True, slots=True)
class ImageTowerConfig:
    """`widths` are the channels of its convolutions, each of which halves pictures of `side` x `side` pixels."""

    text_width: int
    side: int = 128
    widths: tuple[int, ...] = (32, 64, 96, 128)
    hidden: int = 256
    embedding: int = 128

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Self:
        """Read an `image_tower/config.json`. Raises `ConfigError` naming the key."""
        values = {field.name: config[field.name] for field in fields(cls) if field.name in config}
        for key, value in values.items():
            numbers = value if key == "widths" and isinstance(value, list | tuple) and value else [value]
            if not all(type(number) is int and 0 < number <= 4096 for number in numbers):
                raise ConfigError(f"{key} must be whole numbers from 1 to 4096, not {value!r}")
        try:
            found = cls(**values | ({"widths": tuple(values["widths"])} if "widths" in values else {}))
        except TypeError as error:
            raise ConfigError(f"text_width is missing ({error})") from error
        if found.side % 2 ** len(found.widths) or any(width % NORM_GROUPS for width in found.widths):
            raise ConfigError(
                f"side {found.side} must be divisible by 2 for each of widths, and each of widths {list(found.widths)} "
                f"by {NORM_GROUPS}"
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        return {"_class_name": "ImageTower"} | asdict(self)


class ImageTower(nn.Module):
    """Strided convolutions for the picture, two layers for the text encoder's mean state."""

    def __init__(self, config: ImageTowerConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        for before, width in pairwise((3, *config.widths)):
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.GroupNorm(NORM_GROUPS, width), nn.ReLU()]
        places = (config.side // 2 ** len(config.widths)) ** 2
        layers += [nn.Conv2d(config.widths[-1], 32, 1), nn.Flatten(), nn.Linear(32 * places, config.hidden), nn.ReLU()]
        self.picture = nn.Sequential(*layers, nn.Linear(config.hidden, config.embedding))
        self.prompt = nn.Sequential(
            nn.Linear(config.text_width, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.embedding)
        )
        self.scale = nn.Parameter(torch.tensor([SCALE]))
        self.bias = nn.Parameter(torch.tensor([BIAS]))

    def seen(self, pixels: Tensor) -> Tensor:
        """Return features (B, hidden) of pictures (B, 3, H, W) in -1..1, of any size: they are looked at as squares."""
        side = self.config.side
        square = pixels if pixels.shape[2:] == (side, side) else F.interpolate(pixels, size=(side, side), mode="area")
        found: Tensor = self.picture[:-1](square)
        return found

    def of_pictures(self, pixels: Tensor) -> Tensor:
        """Return unit vectors (B, E) of pictures (B, 3, H, W) in -1..1."""
        return self.directed(self.seen(pixels))

    def directed(self, features: Tensor) -> Tensor:
        """Return unit vectors (B, E) of what `seen` found."""
        return F.normalize(self.picture[-1](features), dim=1)

    def of_prompts(self, states: Tensor) -> Tensor:
        """Return unit vectors (B, E) of the text encoder's states (B, D), each the mean over a prompt's tokens."""
        return F.normalize(self.prompt(states), dim=1)

    def logits(self, pictures: Tensor, prompts: Tensor) -> Tensor:
        """Return (B, P) for unit vectors (B, E) and (P, E): the log-odds that picture and prompt belong together."""
        found: Tensor = self.scale * pictures @ prompts.T + self.bias
        return found

    def match(self, pixels: Tensor, states: Tensor) -> float:
        """Return the probability, 0..1, that a picture (1, 3, H, W) is one of the prompt whose states (T, D) these are.

        Other than it in one part, it would be as likely as not to be taken for it at 0.5.
        """
        logit = self.logits(self.of_pictures(pixels.float()), self.of_prompts(states.float().mean(0, keepdim=True)))
        return float(logit.sigmoid())
