"""The server that most people would write: diffusers' pipeline in a thread for each request, behind a lock.

Without HTTP, queue and database, which is to its advantage. It has the embedded weights; what it lacks, pixels that
are folded into the channels of the autoencoder, is done beside it.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from app.cli.bench.clients import Wish
from app.cli.bench.measure import prepare


class LockedDiffusers:
    """One pipeline for all; `picture` may be called from many threads."""

    def __init__(self, folder: Path, defaults: Mapping[str, Any], device: str) -> None:
        prepare()
        import torch
        from diffusers import StableDiffusionPipeline

        self._rescale = float(defaults.get("guidance_rescale", 0.0))
        self._lock = threading.Lock()
        self._device = torch.device(
            "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
        )
        dtype = torch.float32 if self._device.type == "cpu" else torch.bfloat16
        self._pipeline: Any = StableDiffusionPipeline.from_pretrained(folder, dtype=dtype).to(self._device)
        self._pipeline.set_progress_bar_config(disable=True)
        self._pipeline.check_inputs = lambda *_, **__: None  # it asks for multiples of 8 of what it takes for pixels
        self._patch = int((self._pipeline.vae.config.in_channels // 3) ** 0.5)
        if self._patch > 1:
            self._pipeline.vae.decoder.conv_out.padding_mode = "replicate"  # as our own does where pixels are folded

    def picture(self, wish: Wish) -> bytes:
        """Make one picture; return its levels (height * width * 3)."""
        import torch
        from torch.nn import functional as F

        factor = self._patch * self._pipeline.vae_scale_factor
        unit = self._pipeline.vae_scale_factor  # what diffusers divides a size by
        with self._lock, torch.inference_mode():
            latents = self._pipeline(
                wish.prompt,
                height=wish.height * unit // factor,
                width=wish.width * unit // factor,
                num_inference_steps=wish.steps,
                guidance_scale=wish.guidance_scale,
                guidance_rescale=self._rescale,
                generator=torch.Generator().manual_seed(wish.seed),
                output_type="latent",
            ).images
            scale = self._pipeline.vae.config.scaling_factor
            decoded = F.pixel_shuffle(self._pipeline.vae.decode(latents / scale).sample, self._patch)
        levels = (decoded[0].float() / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
        return bytes(levels.permute(1, 2, 0).contiguous().cpu().numpy().tobytes())

    def png(self, wish: Wish) -> bytes:
        """Make one picture as a file, as a server would have to."""
        from PIL import Image

        png = io.BytesIO()
        Image.frombytes("RGB", (wish.width, wish.height), self.picture(wish)).save(png, "PNG")
        return png.getvalue()

    def serve(self, wishes: Sequence[Sequence[Wish]]) -> float:
        """Seconds until each client has had all that it wishes."""

        def client(line: Sequence[Wish]) -> None:
            for wish in line:
                self.png(wish)

        began = time.perf_counter()
        with ThreadPoolExecutor(len(wishes)) as threads:
            list(threads.map(client, wishes))
        return time.perf_counter() - began
