"""The encoder of the embedded model: principal components of picture patches, laid into `AutoencoderKL`'s layers.

Trained by gradient from scratch, an autoencoder of this shape reaches 17 dB after three minutes on one core; the first
16 principal components of 16 x 16 patches give 29 dB at once, are ordered from coarse to fine, and smooth, which a
U-Net likes. So only the decoder is trained (`decoder.py`), and the encoder is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..blocks import Downsample, ResnetBlock
from ..vae import VAE, EncoderBlock
from .pictures import picture_of, to_pixels

PATCH = 16
PICTURES = 1500
POSTERIOR_STD = 0.05
OFFSET = 10.0  # where SiLU is as good as linear
SPARE = 100.0  # constant channels this large make a group norm's statistics independent of the picture
GAIN = 0.25


@dataclass(frozen=True, slots=True)
class Principal:
    """`axes` (C, 3, PATCH, PATCH) and `center` (C,): latents = axes . patch - center.

    Channel k has the standard deviation (s_k / s_1) ** 0.5, with s_k that of the component: the coarse channels
    dominate the U-Net's loss. With all at 1 it learns far slower.
    """

    axes: Tensor
    center: Tensor

    @classmethod
    def fit(cls, channels: int, pictures: int = PICTURES) -> Self:
        """Fit to rendered pictures."""
        patches = torch.cat([_patches(to_pixels(np.stack([picture_of(number)]))) for number in range(pictures)])
        mean = patches.mean(0)
        variance, vectors = torch.linalg.eigh(torch.cov((patches - mean).T).double())
        deviation = variance.flip(0)[:channels].clamp_min(1e-12).sqrt()
        scale = (deviation / deviation[0]).sqrt() / deviation
        axes = (scale[:, None] * vectors.flip(1)[:, :channels].T).float()
        return cls(axes.reshape(channels, 3, PATCH, PATCH), axes @ mean)

    def encode(self, pixels: Tensor) -> Tensor:
        """Return the latents (B, C, H / PATCH, W / PATCH) of pixels (B, 3, H, W)."""
        return nn.functional.conv2d(pixels, self.axes, -self.center, stride=PATCH)

    def encode_pictures(self, pictures: NDArray[np.uint8]) -> Tensor:
        return self.encode(to_pixels(pictures))

    def save(self, path: Path) -> None:
        save_file({"axes": self.axes.contiguous(), "center": self.center.contiguous()}, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        return cls(**load_file(path))


def _patches(pixels: Tensor) -> Tensor:
    return nn.functional.unfold(pixels, PATCH, stride=PATCH).transpose(1, 2).reshape(-1, 3 * PATCH * PATCH)


@torch.no_grad()
def build_encoder(vae: VAE, principal: Principal) -> None:
    """Give `vae` an encoder that computes `principal.encode`, to about 1e-3.

    Each halving gathers 2 x 2 neighbours into the basis that the components need of patches of that size; residual
    branches add nothing. Each latent travels as z and -z beside large constants, so that the last group norm and SiLU
    act on it as a multiplication.
    """
    encoder, channels = vae.encoder, vae.config.latent_channels
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.zeros_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for i in range(3):
        encoder.conv_in.weight[i, i, 1, 1] = 1
    basis = torch.eye(3).reshape(3, 3, 1, 1)
    levels = len(vae.config.block_out_channels)
    for level in range(levels):
        block, resnet = _level(vae, level)
        if resnet.conv_shortcut is not None:
            identity = torch.eye(*resnet.conv_shortcut.weight.shape[:2])
            resnet.conv_shortcut.weight.copy_(identity[:, :, None, None])
        if block.downsamplers is not None:
            halving = block.downsamplers[0]
            assert isinstance(halving, Downsample)
            conv = halving.conv
            last = level == levels - 2
            gathered = _signed(principal.axes) if last else _basis(principal.axes, basis.shape[2] * 2, len(conv.weight))
            conv.weight[: len(gathered), : len(basis), :2, :2] = _gather(gathered, basis)
            basis = gathered
    _settle(vae, channels, principal.center)


def _level(vae: VAE, level: int) -> tuple[EncoderBlock, ResnetBlock]:
    block = vae.encoder.down_blocks[level]
    assert isinstance(block, EncoderBlock)
    resnet = block.resnets[0]
    assert isinstance(resnet, ResnetBlock)
    return block, resnet


def _signed(axes: Tensor) -> Tensor:
    return torch.cat([axes, -axes])


def _basis(axes: Tensor, size: int, most: int) -> Tensor:
    """Return an orthonormal basis (n, 3, size, size), n <= `most`, of what `axes` see in patches of `size`."""
    tiles = axes.unfold(2, size, size).unfold(3, size, size)  # (C, 3, rows, columns, size, size)
    seen = tiles.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * size * size)
    rows = min(most, 3 * size * size)
    return torch.linalg.svd(seen, full_matrices=True).Vh[:rows].reshape(-1, 3, size, size)


def _gather(outer: Tensor, inner: Tensor) -> Tensor:
    """Return the weights (n, m, 2, 2) that make `outer` (n, 3, 2s, 2s) out of `inner` (m, 3, s, s)."""
    size = inner.shape[2]
    tiles = outer.unfold(2, size, size).unfold(3, size, size)
    weights: Tensor = torch.einsum("ncyxhw,mchw->nmyx", tiles, inner)
    return weights


def _settle(vae: VAE, channels: int, center: Tensor) -> None:
    """Undo the last norm and nonlinearity; write means and the constant log variance."""
    encoder, width = vae.encoder, vae.config.block_out_channels[-1]
    groups = vae.config.norm_num_groups
    per_group, pairs = width // groups, channels // groups
    # order of the channels in each group: pairs of z, the same pairs of -z, then constants
    order = torch.full((width,), -1)
    for group in range(groups):
        for i in range(pairs):
            order[group * per_group + i] = group * pairs + i
            order[group * per_group + pairs + i] = channels + group * pairs + i
    spare = order < 0
    _, resnet = _level(vae, -1)
    shortcut = resnet.conv_shortcut
    assert shortcut is not None
    shortcut.weight.zero_()
    for position, source in enumerate(order.tolist()):
        if source >= 0:
            shortcut.weight[position, source] = 1
    signs = torch.ones(width)
    signs[1::2] = -1
    assert resnet.conv2.bias is not None
    resnet.conv2.bias[spare] = SPARE * signs[spare]
    share = (per_group - 2 * pairs) / per_group
    encoder.conv_norm_out.weight.fill_(GAIN * SPARE * share**0.5)
    encoder.conv_norm_out.bias.fill_(OFFSET)
    for position, source in enumerate(order.tolist()):
        if source >= 0:
            encoder.conv_out.weight[source % channels, position, 1, 1] = (1 if source < channels else -1) / (2 * GAIN)
    assert encoder.conv_out.bias is not None
    encoder.conv_out.bias[:channels] = -center
    encoder.conv_out.bias[channels:] = 2 * torch.tensor(POSTERIOR_STD).log()
    for conv in (vae.quant_conv, vae.post_quant_conv):
        assert conv is not None
        conv.weight.copy_(torch.eye(conv.weight.shape[0])[:, :, None, None])
        assert conv.bias is not None
        conv.bias.zero_()
