"""Train the image tower of a checkpoint: rendered pictures against captions, with the text encoder as it is.

Of each two scenes that differ in one part either picture is told from the other's caption, which is what counts when
one of several pictures of a prompt is to be chosen; captions of other scenes tell it about everything else. It sees
renders only, as the judge does, blurred and with noise, since generated pictures are softer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from ..checkpoint.facts import TEXT_WEIGHTS
from ..checkpoint.headers import CheckpointError
from ..checkpoint.image_tower import FOLDER, WEIGHTS
from ..image_tower import ImageTower, ImageTowerConfig
from . import pairs as drawn
from .design import Design
from .judge import softened
from .pictures import to_pixels
from .probe import Probe
from .processes import in_processes
from .render import SQUARE, TALL, WIDE, Shape
from .scene import WORLDS
from .state import keep, take
from .words import Words, text_model

PAIRS, PASSES, BATCH = 12_000, 8, 48
RATE = 1.5e-3
READING_WEIGHT = 3.0  # of the mean cross-entropy over all parts of a scene
FIRST = 40_000_000  # of the pairs' numbers, beyond those of the U-Net
FIRST_HELD = 45_000_000  # of those that it is calibrated on
SHAPES: tuple[Shape, ...] = (*(4 * (SQUARE,)), WIDE, TALL)


@dataclass(frozen=True, slots=True)
class Material:
    """Pairs of scenes that differ in one part: `pictures` (N, 2, 3, S, S) uint8, `states` (N, K, 2, D) float16 of their
    captions in K wordings, `differ` (N, K), whether a wording tells the two apart, and `labels` (N, 2, L) of parts."""

    pictures: Tensor
    states: Tensor
    differ: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.pictures)


@torch.no_grad()
def material(checkpoint: Path, design: Design, first: int, pairs: int, workers: int, side: int) -> Material:
    """Draw `pairs` pairs from number `first` on and encode their captions with the text encoder of a checkpoint."""
    encoder = text_encoder(checkpoint, design)
    starts = range(first, first + pairs, drawn.PART)
    jobs = [(design.name, start, SHAPES[i % len(SHAPES)]) for i, start in enumerate(starts)]
    pictures, states, differ, labels = [], [], [], []
    for shown, tokens, parts in in_processes(drawn.draw_part, jobs, workers, "pairs"):
        rows = torch.from_numpy(tokens.astype(np.int64))
        mean: Tensor = encoder(input_ids=rows.flatten(0, 2)).last_hidden_state.mean(1)
        pictures.append(_smaller(shown, side))
        states.append(mean.half().reshape(*rows.shape[:3], -1))
        differ.append((rows[:, :, 0] != rows[:, :, 1]).any(2))
        labels.append(torch.from_numpy(parts.astype(np.int64)))
    return Material(torch.cat(pictures), torch.cat(states), torch.cat(differ), torch.cat(labels))


def text_encoder(checkpoint: Path, design: Design) -> torch.nn.Module:
    """Return the text encoder of an exported checkpoint, float32. Raises `CheckpointError` if it is none of these."""
    file = checkpoint / TEXT_WEIGHTS
    if not file.exists():
        raise CheckpointError(f"{checkpoint} has no text encoder; write it with the stage 'export' first")
    words = Words.of_grammar(design)
    model: torch.nn.Module = text_model(design, words)
    state = {name: tensor.float() for name, tensor in load_file(file).items()}
    table = next(name for name in state if name.endswith("token_embedding.weight"))
    state[table] = state[table][: len(words.vocabulary.ids)]
    take(model, state, file, design)
    return model.train(False).requires_grad_(False)


def _smaller(pictures: NDArray[np.uint8], side: int) -> Tensor:
    """Pictures (n, 2, H, W, 3) as (n, 2, 3, side, side), uint8."""
    pixels = F.interpolate(to_pixels(pictures.reshape(-1, *pictures.shape[2:])), size=(side, side), mode="area")
    return ((pixels + 1) * 127.5).round().byte().reshape(*pictures.shape[:2], 3, side, side)


def train(
    checkpoint: Path,
    design: Design,
    *,
    pairs: int = PAIRS,
    passes: int = PASSES,
    workers: int = 1,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> ImageTower:
    """Return a new image tower for the text encoder of a checkpoint, on the CPU, and write it there."""
    torch.manual_seed(seed)
    tower = ImageTower(ImageTowerConfig(design.text["hidden_size"])).to(device)
    side = tower.config.side
    known = material(checkpoint, design, FIRST, pairs, workers, side)
    rng = np.random.default_rng(seed)
    batch = min(BATCH, len(known))
    steps = passes * (len(known) // batch)
    readers = Probe(tower.config.hidden, WORLDS[design.world]).to(device)
    optimizer = torch.optim.AdamW([*tower.parameters(), *readers.parameters()], RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1)
    tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for step in tqdm(range(steps), "image tower"):
        if step % (steps // passes) == 0:
            order = torch.split(torch.from_numpy(rng.permutation(len(known))), batch)
        found = loss(tower, readers, known, order[step % (steps // passes)], rng)
        optimizer.zero_grad(set_to_none=True)
        found.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    held = material(checkpoint, design, FIRST_HELD, max(drawn.PART, pairs // 20), workers, side)
    calibrate(tower.cpu(), held)
    print(f"of {len(held)} pairs held back, pictures are nearer to their own caption in {accuracy(tower, held):.0%}")
    save(tower.train(False), checkpoint / FOLDER)
    return tower


def loss(tower: ImageTower, readers: Probe, known: Material, chosen: Tensor, rng: np.random.Generator) -> Tensor:
    """The sigmoid loss: each picture's own caption, its twin's where the wording tells them apart, and all others.

    The three weigh the same, so that a probability of a half lies between a picture and its twin. Linear readers of
    the scene, which are not kept, have it see every part: captions alone teach it far more slowly.
    """
    device = tower.bias.device
    pixels = softened(known.pictures[chosen].flatten(0, 1).float() / 127.5 - 1, rng).to(device)
    wording = torch.from_numpy(rng.integers(known.states.shape[1], size=len(chosen)))
    states = known.states[chosen, wording].float().flatten(0, 1).to(device)
    seen = tower.seen(pixels.contiguous(memory_format=torch.channels_last))
    logits = tower.logits(tower.directed(seen), tower.of_prompts(states))
    read = readers.loss(seen[:, None], known.labels[chosen].flatten(0, 1).to(device))
    own, places = logits.diagonal(), torch.arange(len(logits), device=device)
    twins = logits[places, places ^ 1]
    apart = known.differ[chosen, wording].repeat_interleave(2).to(device)
    others = torch.ones_like(logits, dtype=torch.bool)
    others[places, places] = others[places, places ^ 1] = False
    parts = (F.softplus(-own), F.softplus(twins[apart]), F.softplus(logits[others]))
    return torch.stack([part.sum() / max(1, part.numel()) for part in parts]).sum() + READING_WEIGHT * read


@torch.no_grad()
def alike(tower: ImageTower, known: Material) -> tuple[Tensor, Tensor]:
    """Return the cosines (n,) of pictures with their own captions and with their twins', wherever a wording differs."""
    own, twins = [], []
    for chosen in torch.split(torch.arange(len(known)), BATCH):
        pictures = tower.of_pictures(known.pictures[chosen].flatten(0, 1).float() / 127.5 - 1)
        prompts = tower.of_prompts(known.states[chosen].float().flatten(0, 2))
        cosines = torch.einsum(
            "npe,nkce->nkpc",
            pictures.reshape(len(chosen), 2, -1),
            prompts.reshape(*known.states[chosen].shape[:3], -1),
        )[known.differ[chosen]]
        own.append(cosines.diagonal(dim1=1, dim2=2).flatten())
        twins.append(cosines.flip(2).diagonal(dim1=1, dim2=2).flatten())
    return torch.cat(own), torch.cat(twins)


def accuracy(tower: ImageTower, known: Material) -> float:
    """Return how often a picture is nearer to its own caption than to its twin's, wherever a wording differs."""
    own, twins = alike(tower, known)
    return float((own > twins).float().mean())


def calibrate(tower: ImageTower, known: Material) -> None:
    """Set scale and bias such that, of pictures told either caption, so many are of it as the probability says.

    Training leaves the scale near where it began: it moves as slowly as any weight (arXiv:1706.04599 section 4.2).
    """
    own, twins = alike(tower, known)
    optimizer = torch.optim.LBFGS([tower.scale, tower.bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        right, wrong = (tower.scale * cosines + tower.bias for cosines in (own, twins))
        found = F.softplus(-right).mean() + F.softplus(wrong).mean()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimizer.step(closure)  # type: ignore[no-untyped-call]


def save(tower: ImageTower, folder: Path) -> None:
    """Write weights (float16) and configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(tower.config.to_dict(), indent=2) + "\n")
    tensors = {name: tensor.half().contiguous() for name, tensor in tower.state_dict().items()}
    keep(folder / WEIGHTS, lambda part: save_file(tensors, part, metadata={"format": "pt"}))
