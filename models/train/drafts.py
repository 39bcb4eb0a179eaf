"""What the U-Net makes of known pictures: the latents that the decoder is given in real life.

Latents of rendered pictures are covered with noise in part and denoised again with their captions. What comes back
shows the same scene with the U-Net's own errors: smeared edges, halos, details that it only guesses.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ..devices import autocast
from .diffusion import Run

STARTS = (4, 11)  # steps that are left when the drawing sets in: later ones change the scene itself
STEPS = 20  # of a whole drawing
GUIDANCE = (1.0, 4.0)
AT_ONCE = 16


@torch.no_grad()
def drafts(run: Run, latents: Tensor, captions: list[str], left: tuple[int, int] = STARTS) -> Tensor:
    """Return latents (N, C, h, w), float16, as the averaged networks of `run` draw them anew, by DDIM.

    `left` bounds how many of the last steps are drawn; its second number is not reached.
    """
    networks = run.average.eval()
    empty = networks.encode(run.words.tokens([""]).to(run.device))
    rng = np.random.default_rng(run.plan.seed)
    drawn = []
    for start in range(0, len(latents), AT_ONCE):
        some = latents[start : start + AT_ONCE].float()
        context = networks.encode(run.words.tokens(captions[start : start + AT_ONCE]).to(run.device))
        contexts = torch.cat([context, empty.expand_as(context)])
        noise = torch.from_numpy(rng.standard_normal(some.shape, dtype=np.float32)).to(run.device)
        drawn.append(_drawn(run, some, noise, contexts, int(rng.integers(*left)), rng.uniform(*GUIDANCE)).half())
    return torch.cat(drawn)


def _drawn(run: Run, latents: Tensor, noise: Tensor, contexts: Tensor, steps: int, guidance: float) -> Tensor:
    """Return the latents after the last `steps` of STEPS steps of DDIM, arXiv:2010.02502 eq. 12."""
    spacing = len(run.alphas) // STEPS
    timesteps = [step * spacing - 1 for step in range(steps, 0, -1)]
    alphas = [*(float(run.alphas[timestep]) for timestep in timesteps), 1.0]
    x: Tensor = alphas[0] ** 0.5 * latents + (1 - alphas[0]) ** 0.5 * noise
    for timestep, (alpha, following) in zip(timesteps, pairwise(alphas), strict=True):
        times = torch.full((2 * len(x),), timestep, device=run.device)
        with autocast(run.device):
            both: Tensor = run.average(torch.cat([x, x]), times, contexts)
        asked, unasked = both.float().chunk(2)
        v = unasked + guidance * (asked - unasked)
        clean = alpha**0.5 * x - (1 - alpha) ** 0.5 * v
        epsilon = (1 - alpha) ** 0.5 * x + alpha**0.5 * v
        x = following**0.5 * clean + (1 - following) ** 0.5 * epsilon
    return x
