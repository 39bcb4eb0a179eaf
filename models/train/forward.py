"""The forward process made visible: a picture, more and more covered with noise, as training shows it to the U-Net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from ..checkpoint.loading import load
from ..schedule import Schedule
from .pictures import IMAGE_SIZE, to_picture, to_pixels
from .sheet import compose

EMBEDDED = Path(__file__).parent.parent / "embedded"
TIMESTEPS = (0, 100, 250, 400, 600, 999)


@torch.no_grad()
def forward_process(picture: Path, target: Path | None = None) -> Path:
    """Draw x_t = sqrt(a) x_0 + sqrt(1 - a) noise of a picture over t, arXiv:2006.11239 equation 4.

    Above in pixels, as the textbooks do; below in the latents of the embedded model, decoded, as it is trained.
    Returns the file, beside the picture unless `target` is given.
    """
    bundle = load(EMBEDDED)
    pixels = to_pixels(np.array(_square(picture))[None])
    latents = bundle.vae.encode(pixels)[0]
    generator = torch.Generator().manual_seed(0)
    noises = [torch.randn(x.shape, generator=generator) for x in (pixels, latents)]
    rows: list[tuple[Image.Image, str]] = []
    for x, noise, name in zip((pixels, latents), noises, ("pixels", "latents"), strict=True):
        for timestep in TIMESTEPS:
            noisy, share = _noisy(bundle.schedule, x, noise, timestep)
            shown = noisy if name == "pixels" else bundle.vae.decode(noisy)
            rows.append((Image.fromarray(to_picture(shown)[0]), f"{name}, t = {timestep}, signal {share:.3f}"))
    target = target or picture.with_name(f"{picture.stem}-forward.png")
    compose([image for image, _ in rows], [text for _, text in rows]).save(target)
    print(target)
    return target


def _square(picture: Path) -> Image.Image:
    with Image.open(picture) as opened:
        return ImageOps.fit(opened.convert("RGB"), (IMAGE_SIZE, IMAGE_SIZE))


def _noisy(schedule: Schedule, x: torch.Tensor, noise: torch.Tensor, timestep: int) -> tuple[torch.Tensor, float]:
    alpha = schedule.alphas_cumprod[timestep]
    return alpha.sqrt() * x + (1 - alpha).sqrt() * noise, float(alpha.sqrt())
