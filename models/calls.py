"""The uses of a network that a job may ask for, as values. Knows no network.

A job is a generator (`jobs.py`): it yields one of these and is sent the answer. Whoever drives it (the engine, the
CLI, a test) may answer calls of several jobs together.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Encode:
    """Encode one prompt, in the language of `prompt.py`. Answer: hidden states (tokens, width), float32.

    `tokens` is a multiple of what the text encoder takes at once. `clip_skip` 1 takes its last layer, 2 the one before.
    """

    text: str
    clip_skip: int = 1


@dataclass(frozen=True, eq=False, slots=True)
class Backdrop:
    """The picture (1, 3, H, W) that latents are only a part of, and the place of that part: left, top, width, height.

    The part may go beyond the picture, which then cuts it off.
    """

    pixels: Tensor
    place: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False, slots=True)
class Predict:
    """Ask the U-Net once for one image, in one row for each conditioning. Answer: (len(conds), C, h, w), float32.

    `sample` (1, C, h, w) has unit variance (already divided by sqrt(sigma^2 + 1)); `timestep` is a training index
    0..999, fractions allowed; each of `conds` is (tokens, width): the prompt first, then, with guidance, the negative
    prompt. `extra` (1, C', h, w) holds the further input channels of an inpainting U-Net. `step` of `steps`, the
    last `denoised` (1, C, h, w) and the `backdrop` that it belongs into are for progress and previews only. With
    `tiling` opposite edges are neighbours.
    """

    sample: Tensor
    timestep: float
    conds: tuple[Tensor, ...]
    step: int
    steps: int
    denoised: Tensor | None = None
    extra: Tensor | None = None
    backdrop: Backdrop | None = None
    tiling: bool = False

    @property
    def rows(self) -> int:
        return len(self.conds)


@dataclass(frozen=True, eq=False, slots=True)
class Decode:
    """Decode latents (1, C, h, w) in VAE space. Answer: pixels (1, 3, H, W), float32, -1..1 (not clipped).

    With `tiling` opposite edges are neighbours.
    """

    latents: Tensor
    tiling: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class EncodeImage:
    """Encode pixels (1, 3, H, W), float32, -1..1. Answer: the mean of their latents (1, C, h, w), in VAE space.

    With `tiling` opposite edges are neighbours.
    """

    pixels: Tensor
    tiling: bool = False


Call = Encode | EncodeImage | Predict | Decode
