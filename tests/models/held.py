"""What decoding holds at most, whole and in tiles: `python -m tests.models.held`. Nothing is computed.

The tensors are on the meta device, so that a decoder's largest sizes can be measured anywhere; what a convolution
needs beside its tensors is not counted.
"""

from __future__ import annotations

import json
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import models
from models.config import VAEConfig
from models.tiles import WHOLE, Tiling, decode
from models.vae import VAE

MIB = 2**20
STABLE_DIFFUSION = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
}
EMBEDDED = json.loads((Path(models.__file__).parent / "embedded" / "vae" / "config.json").read_text())


class Held(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive, and the most there were."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most: int = 0
        self._now = 0
        self._alive: Counter[int] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor):
                self._count(tensor)
        self.most = max(self.most, self._now)
        return found

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        self._now += size * (self._alive[key] == 0)
        self._alive[key] += 1
        weakref.finalize(tensor, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._alive[key] -= 1
        self._now -= size * (self._alive[key] == 0)


@torch.inference_mode()
def held(vae: VAE, side: int, tiling: Tiling) -> int:
    """What decoding a square of so many pixels holds at most, in bytes; nothing is computed on the meta device."""
    side //= vae.config.factor
    z = torch.empty(1, vae.config.latent_channels, side, side, device="meta")
    with Held() as counted:
        decode(vae, z, tiling)
    most: int = counted.most
    return most


def main() -> None:
    """Print a line for each decoder and size."""
    for name, config in (("embedded", EMBEDDED), ("Stable Diffusion", STABLE_DIFFUSION)):
        with torch.device("meta"):
            vae = VAE(VAEConfig.from_dict(config)).eval()
        for side in (512, 768, 1024, 1536, 2048):
            whole, tiles = held(vae, side, WHOLE) / MIB, held(vae, side, Tiling(max_activations=0)) / MIB
            chosen = "tiles" if Tiling().is_needed(vae, side, side) else "whole"
            print(f"{name} {side}: {whole:.0f} MiB whole, {tiles:.0f} in tiles; {chosen} is taken", flush=True)


if __name__ == "__main__":
    main()
