"""An autoencoder that is principal components: of 16 x 16 patches of pixels, in `AutoencoderKL`'s layers.

An autoencoder of convolutions at full resolution, trained from scratch, stood at 17 dB after three minutes on one
core, and its decoder alone on these latents at 22 dB after fifteen; the first 32 components of patches give 31 dB at
once (the first 16: 29), are ordered from coarse to fine, and smooth, which a U-Net likes. Encoder and decoder stay
what they are: trained on from there, 7,000 steps of 6 on noisy latents and on those of the U-Net, the decoder came to
30.4 dB at best instead of 31.7, its edges were blurred, and plain colours were off by 1.5 levels of 255 instead of 0.6.

The decoder is fitted by least squares, to noisy latents, on a patch's latents and its neighbours'. Told from its own
alone, each patch of what a U-Net drew was seen: colours stepped between patches 4.0 times as much as within (1.7 now;
2.0 with neighbours, but without noise), and errors of 0.05 in fine components, 0 in a plain sky, wove patterns there.

How layers with norms and SiLU are made linear: each latent travels as z and -z, since silu(z) - silu(-z) = z; residual
branches add nothing; and constants beside the latents keep the last group norm from depending much on the picture.
Fine components are bent on purpose: where they are weak they are noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ..attention import ImageAttention
from ..blocks import ResnetBlock
from ..config import VAEConfig
from ..vae import VAE, Decoder, Encoder
from .design import SMALL
from .pictures import picture_of, to_pixels

PATCH = SMALL.patch
PICTURES = 1500
POSTERIOR_STD = 0.05
CONSTANTS = 4  # channels a group
RIDGE = 1e-9
ENCODER_CONSTANT, DECODER_CONSTANT = 100.0, 10.0
FITTED, PART = 256, 32  # pictures that the decoder is fitted to; at a time
NOISE = 0.04  # of latents: what those that a U-Net draws are off by in plain places, nearly
FINE = 16  # the components from here on are told from that noise by their strength
SHARPNESS, FLAT = 14.0, 1.278  # SiLU is flat at -FLAT: silu(SHARPNESS z - FLAT) - silu(-SHARPNESS z - FLAT) is so at 0


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
def autoencoder(principal: Principal, config: VAEConfig, pictures: int = FITTED) -> VAE:
    """Return a new autoencoder: `principal.encode`, and what tells best from it what so many rendered pictures show."""
    vae = VAE(config)
    channels = vae.config.latent_channels
    order = _Order.of(vae.config)
    for half in (vae.encoder, vae.decoder):
        _silence(half)
    for conv in (vae.quant_conv, vae.post_quant_conv):
        assert conv is not None
        conv.weight.copy_(torch.eye(conv.weight.shape[0])[:, :, None, None])
        _bias(conv).zero_()
    _settle_encoder(vae.encoder, principal, order, channels)
    _settle_decoder(vae, principal, order, pictures)
    return vae


@dataclass(frozen=True, slots=True)
class _Order:
    """Which channels of the wide layers carry z, -z and constants; both signs of a latent are in one norm group."""

    plus: list[int]
    minus: list[int]
    constant: list[int]
    width: int

    @classmethod
    def of(cls, config: VAEConfig) -> Self:
        width, groups = config.block_out_channels[-1], config.norm_num_groups
        pairs, size = config.latent_channels // groups, width // groups
        starts = range(0, width, size)
        return cls(
            [start + i for start in starts for i in range(pairs)],
            [start + pairs + i for start in starts for i in range(pairs)],
            [start + 2 * pairs + i for start in starts for i in range(CONSTANTS)],
            width,
        )

    def signs(self) -> Tensor:
        """+1 and -1 in turn for the constant channels, so that each group's mean is that of its other channels."""
        return torch.tensor([1.0, -1.0]).repeat(len(self.constant) // 2)


def _silence(half: Encoder | Decoder) -> None:
    for module in half.modules():
        if isinstance(module, ResnetBlock):
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(_bias(module.conv2))
        if isinstance(module, ImageAttention):
            for parameter in module.to_out.parameters():
                nn.init.zeros_(parameter)


def _settle_encoder(encoder: Encoder, principal: Principal, order: _Order, channels: int) -> None:
    for module in (encoder.conv_in, encoder.conv_out):
        nn.init.zeros_(module.weight)
        nn.init.zeros_(_bias(module))
    for block in encoder.modules():
        if isinstance(block, ResnetBlock):
            nn.init.zeros_(block.conv1.weight)  # unused, and so smaller when packed
    axes = principal.axes.flatten(1)
    encoder.conv_in.weight[order.plus, :, 1, 1] = axes
    encoder.conv_in.weight[order.minus, :, 1, 1] = -axes
    _bias(encoder.conv_in)[order.constant] = ENCODER_CONSTANT * order.signs()
    deviation = ENCODER_CONSTANT * (len(order.constant) / order.width) ** 0.5
    encoder.conv_norm_out.weight.fill_(deviation)
    for latent in range(channels):
        encoder.conv_out.weight[latent, order.plus[latent], 1, 1] = 1
        encoder.conv_out.weight[latent, order.minus[latent], 1, 1] = -1
    _bias(encoder.conv_out)[:channels] = -principal.center
    _bias(encoder.conv_out)[channels:] = 2 * torch.tensor(POSTERIOR_STD).log()


def _settle_decoder(vae: VAE, principal: Principal, order: _Order, pictures: int) -> None:
    """Let the last layer tell pixels from the features of a patch and of its eight neighbours, by least squares.

    The latents that it is asked for carry noise, as those of a U-Net do. That it looks at the neighbours keeps patches
    from being seen; that weak fine components do not count keeps plain places plain.
    """
    decoder = vae.decoder
    for sign, rows in ((1, order.plus), (-1, order.minus)):
        decoder.conv_in.weight[rows] = 0
        decoder.conv_in.weight[rows, range(len(rows)), 1, 1] = sign
        _bias(decoder.conv_in)[rows] = 0
    decoder.conv_in.weight[order.constant] = 0
    _bias(decoder.conv_in)[order.constant] = DECODER_CONSTANT * order.signs()
    fine = [*order.plus[FINE:], *order.minus[FINE:]]
    decoder.conv_norm_out.weight[fine] = SHARPNESS * DECODER_CONSTANT * (len(order.constant) / order.width) ** 0.5
    decoder.conv_norm_out.bias[fine] = -FLAT
    fit(decoder, _noisy(principal, pictures))


def fit(decoder: Decoder, parts: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Solve the last layer for parts: latents (n, C, h, w) and the pixels (n, 3, H, W) that it should tell of them."""
    products, wanted = _products(decoder, parts)
    products.diagonal().add_(RIDGE * products.trace())  # many features always agree
    solution = torch.linalg.solve(products, wanted).T.float()
    decoder.conv_out.weight.copy_(solution[:, :-1].reshape_as(decoder.conv_out.weight))
    _bias(decoder.conv_out).copy_(solution[:, -1])


def _noisy(principal: Principal, pictures: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rendered pictures, and their latents with noise."""
    generator = torch.Generator().manual_seed(0)
    for first in range(0, pictures, PART):
        pixels = to_pixels(np.stack([picture_of(number) for number in range(first, first + PART)]))
        latents = principal.encode(pixels)
        yield latents + NOISE * torch.randn(latents.shape, generator=generator), pixels


def _products(decoder: Decoder, parts: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The products of all features (and 1) with each other and with the pixels; float64."""
    products = wanted = torch.zeros(())
    for latents, pixels in parts:
        features = torch.cat([_features(decoder, latent) for latent in torch.split(latents, 1)])
        design = torch.cat([features, torch.ones(len(features), 1)], dim=1).double()
        patches = F.pixel_unshuffle(pixels, PATCH).permute(0, 2, 3, 1).flatten(0, 2).double()
        products, wanted = products + design.T @ design, wanted + design.T @ patches
    return products, wanted


def _features(decoder: Decoder, latent: Tensor) -> Tensor:
    """What the last layer sees of each patch and of the patches around it, (h * w, 9 * width)."""
    x = decoder.mid_block(decoder.conv_in(latent))
    for block in decoder.up_blocks:
        x = block(x)
    around = F.pad(F.silu(decoder.conv_norm_out(x)), (1, 1, 1, 1), mode="replicate")
    return F.unfold(around, 3)[0].T


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
