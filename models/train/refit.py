"""Fit the decoder of components once more, when there is a U-Net: half on clean latents, half on those that it draws.

Its errors in fine components are larger than the noise that the decoder was built for, and woven: skies without a style
showed the screen of the mezzotints. Fitted to its own latents alone, the decoder wiped away more than that (30.6 dB on
32 held-out renders; 32.6 with both halves, 33.6 before).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from . import decoder
from .design import Design
from .diffusion import Run
from .drafts import drafts
from .pictures import to_pixels
from .principal import NOISE, PART, fit

LEFT = (1, 9)  # steps of twenty that are left when the drawing sets in: early ones move edges, which only blurs


@torch.no_grad()
def refit(run: Run, folder: Path, design: Design, pictures: int, workers: int) -> None:
    """Fit the last layer of the decoder in a work folder to `pictures` renders and to what `run` makes of them."""
    vae = decoder.load(folder, design)
    pool = torch.from_numpy(decoder.rendered(design, decoder.FIRST, pictures, workers))
    clean = decoder.encode(vae, pool).float()
    captions = decoder.captions(design, decoder.FIRST, pictures)
    drawn = drafts(run, clean.to(run.device), captions, LEFT).cpu().float()
    noisy = clean + NOISE * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))

    def parts() -> Iterator[tuple[Tensor, Tensor]]:
        for latents in (noisy, drawn):
            for some, shown in zip(torch.split(latents, PART), torch.split(pool, PART), strict=True):
                yield some, to_pixels(shown)

    fit(vae.decoder, parts())
    decoder.save(vae, folder)
