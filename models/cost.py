"""What a call costs, from the shapes of a checkpoint's networks alone: operations to compute, and memory meanwhile.

Counts convolutions, linear layers and attention (2 operations a multiplication); norms, activations, embeddings of
time, and what is done once a prompt are left out. Knows no tensor, so that the web process can count, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from models.config import ATTENTION_DOWN, ATTENTION_UP, UNetConfig, VAEConfig

HELD_BY_A_LEVEL = 18  # feature maps of its width: the feed-forward's 8 + 4, and what stands around it
HELD_BY_A_DECODER = 4  # feature maps of its largest layer
TILE = 64  # latents, each side: what large pictures are decoded by (`tiles.py`)
TILED_BEYOND = 2**27  # numbers that the last layer gives
BYTES_A_PIXEL = 3 * 4 * 4  # the picture in float32, before and after it is brought to levels


@dataclass(frozen=True)
class Costs:
    """The costs of one checkpoint's calls. Sizes are in latents."""

    unet: UNetConfig
    vae: VAEConfig
    max_tokens: int = 77
    itemsize: int = 4

    def row(self, height: int, width: int, tokens: int | None = None) -> float:
        """Operations of one row of a U-Net call."""
        return sum(self._unet_layers(height, width, tokens or self.max_tokens))

    def decode(self, height: int, width: int) -> float:
        """Operations of decoding one picture."""
        channels, layers = self.vae.block_out_channels, self.vae.layers_per_block
        deepest, area = channels[-1], height * width
        total = _conv(self.vae.latent_channels, deepest, area) + 2 * _resnet(deepest, deepest, area)
        total += 8 * deepest**2 * area + 4 * area**2 * deepest
        below = deepest
        for level in reversed(range(len(channels))):
            total += _resnet(below, channels[level], area) + layers * _resnet(channels[level], channels[level], area)
            if level > 0:
                area *= 4
                total += _conv(channels[level], channels[level], area)
            below = channels[level]
        return total + _conv(channels[0], self.vae.out_channels, area)

    def encode(self, height: int, width: int) -> float:
        """Operations of encoding one picture: less than those of decoding it, which has a layer more a level."""
        return self.decode(height, width)

    def row_bytes(self, height: int, width: int) -> int:
        """Bytes that one row of a U-Net call holds at most: the states for the way up, and one level at work."""
        areas = list(_areas(height, width, len(self.unet.block_out_channels)))
        channels = self.unet.block_out_channels
        kept = channels[0] * areas[0]
        for level, (width_of_level, area) in enumerate(zip(channels, areas, strict=True)):
            kept += self.unet.layers_per_block[level] * width_of_level * area
            kept += width_of_level * areas[level + 1] if level + 1 < len(areas) else 0
        at_work = max(HELD_BY_A_LEVEL * count * area for count, area in zip(channels, areas, strict=True))
        return self.itemsize * (kept + at_work)

    def decode_bytes(self, height: int, width: int, *, whole: bool = False) -> int:
        """Bytes that decoding one picture holds at most; a large one is decoded in tiles, unless its edges tile."""
        channels, patch = self.vae.block_out_channels, self.vae.patch
        side = self.vae.factor // patch
        pixels = height * width * side**2
        is_whole = whole or pixels * channels[0] <= TILED_BEYOND
        at_once = pixels if is_whole else min(pixels, (TILE * side) ** 2)
        largest = max(channels[min(1, len(channels) - 1)], channels[0]) * at_once
        return self.itemsize * HELD_BY_A_DECODER * largest + BYTES_A_PIXEL * pixels * patch**2

    def picture_bytes(self, height: int, width: int, rows: int, *, whole: bool = False) -> int:
        """Bytes that one picture needs at most, beside the networks, with so many rows a step."""
        return max(rows * self.row_bytes(height, width), self.decode_bytes(height, width, whole=whole))

    def _unet_layers(self, height: int, width: int, tokens: int) -> Iterator[float]:
        unet, channels = self.unet, self.unet.block_out_channels
        areas = list(_areas(height, width, len(channels)))
        last = len(channels) - 1
        yield _conv(unet.in_channels, channels[0], areas[0]) + _conv(channels[0], unet.out_channels, areas[0])
        for level, (here, area) in enumerate(zip(channels, areas, strict=True)):
            above, below = channels[max(level - 1, 0)], channels[min(level + 1, last)]
            layers = unet.layers_per_block[level]
            transformer = self._transformer(level, area, tokens)
            yield _resnet(above, here, area) + (layers - 1) * _resnet(here, here, area)
            yield _resnet(below + here, here, area) + (layers - 1) * _resnet(2 * here, here, area)
            yield _resnet(here + above, here, area)
            yield layers * transformer * (unet.down_block_types[level] == ATTENTION_DOWN)
            yield (layers + 1) * transformer * (unet.up_block_types[last - level] == ATTENTION_UP)
            if level < last:
                yield _conv(here, here, areas[level + 1])
            if level > 0:
                yield _conv(here, here, areas[level - 1])
        yield 2 * _resnet(channels[-1], channels[-1], areas[-1]) + self._transformer(last, areas[-1], tokens)

    def _transformer(self, level: int, area: int, tokens: int) -> float:
        width = self.unet.block_out_channels[level]
        block = (8 + 4 + 24) * width**2 * area + 4 * area**2 * width + 4 * area * tokens * width
        return 4 * width**2 * area + self.unet.transformer_layers_per_block[level] * block


def _areas(height: int, width: int, levels: int) -> Iterator[int]:
    for _ in range(levels):
        yield height * width
        height, width = (height + 1) // 2, (width + 1) // 2


def _conv(inputs: int, outputs: int, area: int) -> float:
    return 2.0 * 9 * inputs * outputs * area


def _resnet(inputs: int, outputs: int, area: int) -> float:
    shortcut = 2.0 * inputs * outputs * area if inputs != outputs else 0.0
    return _conv(inputs, outputs, area) + _conv(outputs, outputs, area) + shortcut
