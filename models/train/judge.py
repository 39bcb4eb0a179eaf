"""A reader of pictures: a small convolutional network that says what a scene holds and where.

It is trained on rendered pictures only, never on generated ones, so that it can judge a model without having learned
that model's habits. Blur and noise are added while it learns: generated pictures are softer than rendered ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from ..devices import autocast
from .probe import IGNORED, label_of
from .processes import in_processes
from .render import render
from .scene import POSITIONS, PRESENT, Scene, World, sample_scene

PART = 50  # pictures that a process draws at a time
SIZE = 128  # pixels a side that it looks at
WIDTHS = (24, 48, 96, 128)
FIRST = 3_000_000_000  # its pictures' numbers; those of its test begin at FIRST_TEST
FIRST_TEST = 3_500_000_000
Labels = dict[str, int]


def parts_of(world: World) -> dict[str, tuple[Any, ...]]:
    """Return the values that the judge can read of each part of a scene."""
    return world.classes | dict.fromkeys(("thing_twice", "luminary_twice"), PRESENT)


class Judge(nn.Module):
    """Four strided convolutions and one classifier for each part of a scene of one world."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world, self.parts = world, parts_of(world)
        layers: list[nn.Module] = []
        for before, width in pairwise((3, *WIDTHS)):
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        side = SIZE // 2 ** len(WIDTHS)
        self.body = nn.Sequential(
            *layers, nn.Conv2d(WIDTHS[-1], 32, 1), nn.Flatten(), nn.Linear(32 * side**2, 256), nn.ReLU()
        )
        self.heads = nn.ModuleDict({name: nn.Linear(256, len(values)) for name, values in self.parts.items()})

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the logits (B, classes) of each part for pictures (B, 3, SIZE, SIZE) in -1..1."""
        seen = self.body(pictures)
        return {name: head(seen) for name, head in self.heads.items()}

    @torch.no_grad()
    def read(self, pictures: NDArray[np.uint8]) -> list[dict[str, Any]]:
        """Say what is in pictures (B, H, W, 3): for each the value of every part."""
        self.eval()
        chosen = {name: logits.argmax(1) for name, logits in self(_inputs(pictures)).items()}
        return [{name: self.parts[name][index[i]] for name, index in chosen.items()} for i in range(len(pictures))]


def _pictures_with_truth(job: tuple[World, range]) -> list[tuple[NDArray[np.uint8], Labels]]:
    world, numbers = job
    return [picture_with_truth(number, world) for number in numbers]


def picture_with_truth(number: int, world: World) -> tuple[NDArray[np.uint8], Labels]:
    """Render picture `number` (SIZE, SIZE, 3); one in five shows the thing or the luminary twice.

    The two halves then come from two renders that differ only in where it stands.
    """
    rng = Random(number)
    scene = sample_scene(rng, world)
    twice = rng.choice(("thing", "luminary")) if rng.random() < 0.2 else None
    if twice is None or getattr(scene, twice) is None or scene.count > 1:
        picture = render(scene, Random(number + 1))
        return _smaller(picture), labels_of(scene, world)
    left, right = (_with(scene, f"{twice}_at", side) for side in ("left", "right"))
    halves = [render(half, Random(number + 1)) for half in (left, right)]
    middle = halves[0].shape[1] // 2
    picture = np.concatenate([halves[0][:, :middle], halves[1][:, middle:]], axis=1)
    return _smaller(picture), labels_of(scene, world) | {f"{twice}_twice": 1, f"{twice}_at": IGNORED}


def _with(scene: Scene, part: str, value: str) -> Scene:
    changed: dict[str, Any] = {part: value}
    return replace(scene, **changed)


def labels_of(scene: Scene, world: World) -> Labels:
    """Return the number of the right class of each part, IGNORED where there is nothing to tell."""
    labels = {name: label_of(scene, name, world) for name in world.classes}
    for name in ("thing", "luminary"):
        labels[f"{name}_twice"] = IGNORED if getattr(scene, name) is None or scene.count > 1 else 0
    return labels


def train(file: Path, world: World, *, pictures: int, passes: int, workers: int, seed: int = 0) -> Judge:
    """Return the judge that lies in `file`, or train one there; one pass takes every picture once."""
    judge = Judge(world)
    if file.exists():
        judge.load_state_dict(load_file(file))
        return judge.eval()
    torch.manual_seed(seed)
    judge = Judge(world)
    pool, truth = renders(world, FIRST, pictures, workers)
    optimizer = torch.optim.AdamW(judge.parameters(), 2e-3, weight_decay=0.01)
    batches = list(_batches(len(pool), passes, np.random.default_rng(seed)))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=len(batches) + 1)
    rng = np.random.default_rng(seed)
    for chosen in tqdm(batches, "judge"):
        loss = _loss(judge, *_varied(pool[chosen], {name: truth[name][chosen] for name in truth}, rng))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    save_file({name: tensor.contiguous() for name, tensor in judge.state_dict().items()}, file)
    return judge.eval()


def accuracy(judge: Judge, *, pictures: int, workers: int) -> dict[str, float]:
    """Return the share of held-out renders of which the judge reads each part right."""
    pool, truth = renders(judge.world, FIRST_TEST, pictures, workers)
    right: dict[str, list[bool]] = {name: [] for name in judge.parts}
    for start in range(0, len(pool), 100):
        for i, read in enumerate(judge.read(pool[start : start + 100]), start):
            for name, value in read.items():
                if truth[name][i] != IGNORED:
                    right[name].append(judge.parts[name].index(value) == truth[name][i])
    return {name: float(np.mean(values)) for name, values in right.items() if values}


def renders(
    world: World, first: int, count: int, workers: int
) -> tuple[NDArray[np.uint8], Mapping[str, NDArray[np.int64]]]:
    """Render pictures `first` onwards with their labels; on several cores with `workers` above 1."""
    parts = [(world, range(start, min(start + PART, first + count))) for start in range(first, first + count, PART)]
    found = [pair for part in in_processes(_pictures_with_truth, parts, workers, "renders") for pair in part]
    truth = {name: np.array([labels[name] for _, labels in found]) for name in parts_of(world)}
    return np.stack([picture for picture, _ in found]), truth


def _batches(count: int, passes: int, rng: np.random.Generator, size: int = 64) -> Iterator[NDArray[np.int64]]:
    for _ in range(passes):
        order = rng.permutation(count)
        yield from (order[start : start + size] for start in range(0, count - count % size or count, size))


def _varied(
    pictures: NDArray[np.uint8], truth: Mapping[str, NDArray[np.int64]], rng: np.random.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mirror half of the batches, with their sides; add blur and noise of random strength."""
    x, labels = _inputs(pictures), {name: torch.from_numpy(values) for name, values in truth.items()}
    if rng.random() < 0.5:
        x = x.flip(3)
        swapped = torch.arange(len(POSITIONS)).flip(0)
        for name in ("thing_at", "luminary_at"):
            known = labels[name] != IGNORED
            labels[name] = torch.where(known, swapped[labels[name].clamp_min(0)], labels[name])
    return softened(x, rng), labels


def softened(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Give pictures (B, 3, H, W) blur and noise of random strength, and another contrast."""
    if rng.random() < 0.6:
        kernel = _gaussian(rng.uniform(0.3, 1.4))
        x = F.conv2d(x, kernel.expand(3, 1, -1, -1), padding=kernel.shape[-1] // 2, groups=3)
    x = x + torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32)) * rng.uniform(0, 0.06)
    return x * rng.uniform(0.92, 1.08) + rng.uniform(-0.05, 0.05)


def _gaussian(deviation: float) -> Tensor:
    bell = torch.exp(-(torch.arange(-3.0, 4.0) ** 2) / (2 * deviation**2))
    return (bell[:, None] * bell / bell.sum() ** 2)[None, None]


def _loss(judge: Judge, pictures: Tensor, labels: Mapping[str, Tensor]) -> Tensor:
    judge.train()
    with autocast("cpu"):
        logits = judge(pictures)
    losses = [
        F.cross_entropy(logits[name].float(), labels[name], ignore_index=IGNORED)
        for name in judge.parts
        if bool((labels[name] != IGNORED).any())
    ]
    return torch.stack(losses).sum()


def _inputs(pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Tensor:
    """Turn pictures of any size into (B, 3, SIZE, SIZE) float32 in -1..1."""
    x = torch.from_numpy(np.asarray(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    return x if x.shape[-1] == SIZE else F.interpolate(x, size=(SIZE, SIZE), mode="area")


def _smaller(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = picture.shape[0] // SIZE
    small: NDArray[np.uint8] = picture.reshape(SIZE, factor, SIZE, factor, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    return small
