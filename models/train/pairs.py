"""What the U-Net is trained on: pairs of scenes that differ in one part, as latents, captions and labels on disk.

With equal noise and an equal timestep, what the networks answer for the two may differ only by what the captions
say differently. Before pairs, the answer at the first step changed by 4 % when "left" became "right".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..checkpoint.headers import CheckpointError
from .design import Design, design_named
from .probe import label_of
from .processes import in_processes
from .render import SQUARE, TALL, WIDE, Shape, render
from .scene import WORLDS, Scene, World, sample_scene, variant
from .speech import HURRY, caption, hint
from .state import keep
from .words import Words, meaning

ANEW = "name an empty --folder, and --from the checkpoint that was exported"
CHUNK = 500  # pairs a file
PART = 25  # pairs that a process draws at a time
CAPTIONS: tuple[Callable[[Scene, Random], str], ...] = (*(4 * (caption,)), partial(caption, omissions=HURRY), hint)
FIRST = 5_000_000
SHAPES: tuple[Shape, ...] = (  # of every twenty files: a network that has seen one size alone draws mush at others
    *(6 * (SQUARE,)),
    *(2 * (WIDE, TALL)),
    (0.75, 0.75),
    *(2 * ((1.25, 1.25), (1.5, 1.5))),
    *(3 * ((2.0, 2.0),)),
    (1.25, 2.0),
    (2.0, 1.25),
)
Encoder = Callable[[NDArray[np.uint8]], Tensor]  # pictures (N, H, W, 3) to latents (N, C, h, w)
Drawn = tuple[NDArray[np.uint8], NDArray[np.int16], NDArray[np.int16]]
Encoded = tuple[NDArray[np.float16], NDArray[np.int16], NDArray[np.int16]]


def pair_of(number: int, world: World) -> tuple[Scene, Scene]:
    rng = Random(FIRST + number)
    scene = sample_scene(rng, world)
    return scene, variant(scene, rng, world)


def draw_part(job: tuple[str, int, Shape]) -> Drawn:
    """Draw PART pairs for (design, first number, proportions).

    Returns pictures (n, 2, H, W, 3), tokens (n, K, 2, T) and labels (n, 2, L).
    """
    name, first, shape = job
    design = design_named(name)
    world = WORLDS[design.world]
    pairs = [pair_of(number, world) for number in range(first, first + PART)]
    size = design.image_size
    pictures = [[render(scene, Random(first + i), size, shape) for scene in pair] for i, pair in enumerate(pairs)]
    labels = [[[label_of(scene, part, world) for part in world.classes] for scene in pair] for pair in pairs]
    return np.array(pictures), _tokens(design, pairs, first), np.array(labels, dtype=np.int16)


def _tokens(design: Design, pairs: list[tuple[Scene, Scene]], first: int) -> NDArray[np.int16]:
    """Both scenes of a pair are described with equal choices of words, so that the captions differ little."""
    said = [
        describe(scene, Random((first + i) * len(CAPTIONS) + k))
        for i, pair in enumerate(pairs)
        for k, describe in enumerate(CAPTIONS)
        for scene in pair
    ]
    rows: NDArray[np.int16] = _words(design.name).tokens(said).numpy().astype(np.int16)
    return rows.reshape(len(pairs), len(CAPTIONS), 2, -1)


@lru_cache(maxsize=4)
def _words(name: str) -> Words:
    return Words.of_grammar(design_named(name))


def write(
    encode: Encoder, design: Design, folder: Path, chunks: int, workers: int, deadline: float | None = None
) -> None:
    """Draw what is missing of the first `chunks` files in `workers` processes, encode it here; until the deadline."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [chunk for chunk in range(chunks) if not _file(folder, chunk).exists()]
    jobs = [
        (design.name, first, SHAPES[chunk % len(SHAPES)])
        for chunk in missing
        for first in range(chunk * CHUNK, (chunk + 1) * CHUNK, PART)
    ]
    drawn = in_processes(draw_part, jobs, workers, "pairs")
    for chunk in missing:
        parts = [_encoded(encode, next(drawn)) for _ in range(0, CHUNK, PART)]
        keep(_file(folder, chunk), partial(_save, parts, meaning(design.world)))
        if deadline is not None and time.monotonic() >= deadline:
            drawn.close()
            return


def _save(parts: list[Encoded], meaning: str, file: Path) -> None:
    latents, tokens, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    with file.open("wb") as stream:  # np.savez would give a path a suffix of its own
        np.savez(stream, latents=latents, tokens=tokens, labels=labels, meaning=meaning)


def _file(folder: Path, chunk: int) -> Path:
    return folder / f"{chunk:04d}.npz"


def _encoded(encode: Encoder, drawn: Drawn) -> Encoded:
    pictures, tokens, labels = drawn
    latents = encode(pictures.reshape(-1, *pictures.shape[2:])).half().cpu().numpy()
    return latents.reshape(len(pictures), 2, *latents.shape[1:]), tokens, labels


@dataclass(frozen=True, slots=True)
class Pairs:
    """All pairs of one shape of a folder on one device.

    `latents` (N, 2, C, h, w) float16, `tokens` (N, K, 2, T) and `labels` (N, 2, L).
    """

    latents: Tensor
    tokens: Tensor
    labels: Tensor

    @classmethod
    def load(cls, folder: Path, world: int, device: torch.device) -> list[Self]:
        """Return those of each shape, the square ones first. Raises `CheckpointError` if there are none, or others."""
        wanted = meaning(world)
        groups: dict[tuple[int, ...], list[dict[str, NDArray[Any]]]] = {}
        for path in sorted(folder.glob("*.npz")):
            with np.load(path) as file:
                arrays = dict(file)
            if arrays.pop("meaning", None) != wanted:
                raise CheckpointError(f"{path} was drawn for other words or scenes than those of now; {ANEW}")
            groups.setdefault(arrays["latents"].shape[3:], []).append(arrays)
        if not groups:
            raise CheckpointError(f"{folder} has no pairs; draw them with the stage 'pairs' first")
        return [cls._joined(files, device) for files in groups.values()]

    @classmethod
    def _joined(cls, files: list[dict[str, NDArray[Any]]], device: torch.device) -> Self:
        arrays = (np.concatenate([file[name] for file in files]) for name in ("latents", "tokens", "labels"))
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    def __len__(self) -> int:
        return len(self.latents)
