"""The autoencoder on large pictures, tile by tile, so that the memory is bounded, and with no tile to be seen.

A tile would be seen for two reasons. What looks at the whole picture, the attention at the bottom, is done on the
whole: it is small there. And the norms of the other layers divide by statistics of the picture: they are measured in
one round over all tiles and shared in the next.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.vae import VAE

MAX_ACTIVATIONS = 2**27  # numbers that one layer gives: those of Stable Diffusion's last layers at 1024 x 1024
TILE = 64  # latents, each side
OVERLAP = 16  # latents, which is beyond what the convolutions of Stable Diffusion's decoder can see
ROUNDS = 3  # the embedded decoder in 12 tiles is off by 6.4 levels of 255 at most in 1 round, 3.1 in 2, 0.5 in 3
EDGE_WEIGHT = 1e-4

Place = tuple[int, int, int, int]  # top, bottom, left, right
Parts = Generator[None, None, Tensor]  # work that may be interrupted between its parts


@dataclass(frozen=True)
class Tiling:
    """How large tiles are and how far they overlap, in latents; from which size on; in how many rounds."""

    tile: int = TILE
    overlap: int = OVERLAP
    max_activations: int = MAX_ACTIVATIONS
    rounds: int = ROUNDS

    def is_needed(self, vae: VAE, height: int, width: int) -> bool:
        """Whether a picture of this size in pixels is too large to be done at once."""
        patch, channels = vae.config.patch, vae.config.block_out_channels[0]
        return (height // patch) * (width // patch) * channels > self.max_activations


WHOLE = Tiling(max_activations=sys.maxsize)  # never in tiles


def decode(vae: VAE, z: Tensor, tiling: Tiling | None = None) -> Tensor:
    """Decode z (1, C, h, w) as `vae.decode` does, in tiles where it is large."""
    return finished(decode_in_parts(vae, z, tiling))


def decode_in_parts(vae: VAE, z: Tensor, tiling: Tiling | None = None) -> Parts:
    """Decode as `decode` does, to the bit, stopping after each block of layers or, where there are tiles, each tile."""
    tiling, factor, patch = tiling or Tiling(), vae.config.factor, vae.config.patch
    is_tiled = tiling.is_needed(vae, z.shape[2] * factor, z.shape[3] * factor)
    if vae.post_quant_conv is not None:
        z = vae.post_quant_conv(z)
    x = vae.decoder.bottom(z)
    yield
    if is_tiled:
        climb = _Shared(vae.decoder)
        folded = yield from climb.over(x, lambda decoder, x: decoder.climb(x), tiling, down=1, up=factor // patch)
        return F.pixel_shuffle(folded, patch)
    for block in vae.decoder.up_blocks:
        x = block(x)
        yield
    return F.pixel_shuffle(vae.decoder.head(x), patch)


def finished(parts: Parts) -> Tensor:
    """Go on until the end, and return what comes of it."""
    try:
        while True:
            next(parts)
    except StopIteration as end:
        found: Tensor = end.value
        return found


def mean_at_once(vae: VAE, pixels: Tensor) -> Tensor:
    """Encode pixels (B, 3, H, W) to the mean of their latents, whatever their number."""
    return vae.encode(pixels)[0]


def encode(vae: VAE, pixels: Tensor, tiling: Tiling | None = None) -> Tensor:
    """Encode pixels (1, 3, H, W) to the mean of their latents as `vae.encode` does, in tiles where they are many."""
    tiling, patch = tiling or Tiling(), vae.config.patch
    if not tiling.is_needed(vae, *pixels.shape[2:]):
        return mean_at_once(vae, pixels)
    folded = F.pixel_unshuffle(pixels, patch)
    descend = _Shared(vae.encoder)
    down = vae.config.factor // patch
    found = finished(descend.over(folded, lambda encoder, x: encoder.descend(x), tiling, down=down, up=1))
    return vae.moments(vae.encoder.bottom(found))[0]


class _SharedNorm(nn.Module):
    """A group norm that collects the statistics of all tiles and divides each by those of all, once there are any."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm
        self.share = torch.ones(1, 1, 1, 1)
        self._collected: list[tuple[Tensor, Tensor, Tensor]] = []
        self._shared: tuple[Tensor, Tensor] | None = None

    def settle(self) -> None:
        """Use from now on what was collected until now."""
        if not self._collected:  # it is in the other part of the half
            return
        counts, sums, squares = (torch.stack(parts).sum(0) for parts in zip(*self._collected, strict=True))
        mean = sums / counts  # (B, groups)
        spread = (squares / counts - mean.square()).clamp(min=0).add(self.norm.eps).rsqrt()
        size = self.norm.num_channels // self.norm.num_groups
        scale = spread.repeat_interleave(size, 1) * self.norm.weight.float()
        shift = self.norm.bias.float() - mean.repeat_interleave(size, 1) * scale
        self._shared = scale[..., None, None], shift[..., None, None]
        self._collected = []

    def forward(self, x: Tensor) -> Tensor:
        groups = x.float().reshape(len(x), self.norm.num_groups, -1, *x.shape[2:])
        share = F.adaptive_avg_pool2d(self.share, (x.shape[2], x.shape[3]))[:, None]  # (1, 1, 1, h, w)
        self._collected.append(
            (
                share.sum() * groups.shape[2],
                (groups * share).sum((2, 3, 4)),
                (groups.square() * share).sum((2, 3, 4)),
            )
        )
        if self._shared is None:
            normed: Tensor = self.norm(x)
            return normed
        scale, shift = self._shared
        return x * scale.to(x.dtype) + shift.to(x.dtype)


class _Shared:
    """Half of an autoencoder, with the same weights, whose norms are shared by all tiles."""

    def __init__(self, half: nn.Module) -> None:
        weights: dict[int, object] = {id(tensor): tensor for tensor in (*half.parameters(), *half.buffers())}
        self._half = copy.deepcopy(half, weights)
        self._norms: list[_SharedNorm] = []
        for part in list(self._half.modules()):
            for name, child in part.named_children():
                if isinstance(child, nn.GroupNorm):
                    norm = _SharedNorm(child)
                    setattr(part, name, norm)
                    self._norms.append(norm)

    def over(self, x: Tensor, ask: Callable[..., Tensor], tiling: Tiling, *, down: int, up: int) -> Parts:
        """Ask for all tiles of x, one a part, in rounds; the answer is `up` / `down` times as large on each side.

        Where tiles overlap the last round's answers pass over into each other.
        """
        shares = _shares(x, tiling.tile * down, tiling.overlap * down)
        for _ in range(tiling.rounds - 1):
            for place, share in shares.items():
                self._ask(ask, x, place, share)
                yield
            for norm in self._norms:
                norm.settle()
        height, width = (length * up // down for length in x.shape[2:])
        whole: Tensor | None = None
        for place, share in shares.items():
            found = self._ask(ask, x, place, share).float()
            if whole is None:
                whole = found.new_zeros(len(x), found.shape[1], height, width)
            top, bottom, left, right = (edge * up // down for edge in place)
            share = F.interpolate(share, size=found.shape[2:], mode="bilinear" if up > down else "area")
            whole[:, :, top:bottom, left:right] += found * share
            yield
        assert whole is not None
        return whole.to(x.dtype)

    def _ask(self, ask: Callable[..., Tensor], x: Tensor, place: Place, share: Tensor) -> Tensor:
        for norm in self._norms:
            norm.share = share
        top, bottom, left, right = place
        return ask(self._half, x[:, :, top:bottom, left:right])


def _shares(x: Tensor, side: int, overlap: int) -> dict[Place, Tensor]:
    """The tiles of x and the share (1, 1, h, w) that each has in every place of it; together they have all."""
    height, width = x.shape[2:]
    places = [(*row, *column) for row in _spans(height, side, overlap) for column in _spans(width, side, overlap)]
    weights = [
        (_rise(top, bottom, height, overlap)[:, None] * _rise(left, right, width, overlap)).to(x.device)[None, None]
        for top, bottom, left, right in places
    ]
    total = torch.zeros(1, 1, *x.shape[2:], device=x.device)
    for (top, bottom, left, right), weight in zip(places, weights, strict=True):
        total[:, :, top:bottom, left:right] += weight
    return {
        (top, bottom, left, right): weight / total[:, :, top:bottom, left:right]
        for (top, bottom, left, right), weight in zip(places, weights, strict=True)
    }


def _spans(length: int, side: int, overlap: int) -> list[tuple[int, int]]:
    """Cover a length with spans of `side` at most that overlap by `overlap`; the last may overlap by more."""
    begins = range(0, max(1, length - overlap), side - overlap)
    return [(max(0, min(begin, length - side)), min(begin + side, length)) for begin in begins]


def _rise(begin: int, end: int, length: int, overlap: int) -> Tensor:
    """The weight (end - begin) of a tile's answer along one side: it rises in the middle half of the overlap.

    What is nearer to the tile's edge saw that edge, and hardly counts. The picture's own edges are none of its tiles.
    """
    first = torch.arange(1, end - begin + 1) if begin > 0 else torch.full((end - begin,), overlap)
    last = torch.arange(end - begin, 0, -1) if end < length else torch.full((end - begin,), overlap)
    return ((torch.minimum(first, last) - overlap / 4) / (overlap / 2)).clamp(EDGE_WEIGHT, 1.0)
