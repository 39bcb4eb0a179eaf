"""The rendered pictures as latents on disk, in chunks that a running training picks up as they appear."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .pictures import picture_of
from .principal import Principal

CHUNK = 1000
BATCH = 20


def encode(principal: Principal, folder: Path, chunks: range) -> None:
    """Write the latents of the pictures of each chunk to `folder`/NNNN.npy, float16 (CHUNK, C, h, w)."""
    folder.mkdir(parents=True, exist_ok=True)
    for chunk in tqdm(chunks, "latents"):
        target = folder / f"{chunk:04d}.npy"
        if target.exists():
            continue
        latents = [
            principal.encode_pictures(np.stack([picture_of(number) for number in range(start, start + BATCH)]))
            for start in range(chunk * CHUNK, (chunk + 1) * CHUNK, BATCH)
        ]
        temporary = target.with_suffix(".tmp")
        with open(temporary, "wb") as file:
            np.save(file, torch.cat(latents).half().numpy())
        os.replace(temporary, target)


class Latents:
    """The chunks that are there; `grow` looks for new ones. `numbers[i]` is the picture of `latents[i]`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers: list[int] = []
        self.latents = torch.empty(0)
        self._seen: set[str] = set()
        self.grow()

    def grow(self) -> None:
        new = [path for path in sorted(self.folder.glob("*.npy")) if path.name not in self._seen]
        if not new:
            return
        arrays = [torch.from_numpy(np.load(path)) for path in new]
        self.latents = torch.cat([self.latents, *arrays]) if self.numbers else torch.cat(arrays)
        for path in new:
            self._seen.add(path.name)
            self.numbers += range(int(path.stem) * CHUNK, (int(path.stem) + 1) * CHUNK)

    def pick(self, chosen: np.ndarray) -> Tensor:
        return self.latents[torch.from_numpy(chosen)].float()
