"""The autoencoder between pixels and latents, arXiv:2112.10752 section 3.1.

Parameter names are those of diffusers' `AutoencoderKL`. Latents here are as the network gives and takes them; scaling
them for the U-Net is the bundle's work. A network of 3 * p * p input and output channels works on pixels folded p x p
into channels (`torch.pixel_unshuffle`), which is far cheaper than convolving them at full resolution.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from models.attention import ImageAttention
from models.blocks import Downsample, ResnetBlock, Upsample
from models.config import VAEConfig
from models.convolution import Convolution
from models.norm import GroupNorm, bent

EPS = 1e-6
MIN_LOGVAR, MAX_LOGVAR = -30.0, 20.0


class VAE(nn.Module):
    """Encode pixels (B, 3, H, W) in -1..1 to a Gaussian over latents (B, C, H/f, W/f); decode latents to pixels."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        latent = config.latent_channels
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1) if config.use_quant_conv else None
        self.post_quant_conv = nn.Conv2d(latent, latent, 1) if config.use_post_quant_conv else None

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the latents, each (B, C, H/f, W/f)."""
        folded = F.pixel_unshuffle(pixels, self.config.patch)
        return self.moments(self.encoder.bottom(self.encoder.descend(folded)))

    def moments(self, moments: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of what the encoder gives, (B, 2C, h, w)."""
        if self.quant_conv is not None:
            moments = self.quant_conv(moments)
        mean, logvar = moments.chunk(2, dim=1)
        return mean, logvar.clamp(MIN_LOGVAR, MAX_LOGVAR)

    def decode(self, z: Tensor) -> Tensor:
        """Return pixels (B, 3, H, W), not clipped."""
        if self.post_quant_conv is not None:
            z = self.post_quant_conv(z)
        return F.pixel_shuffle(self.decoder(z), self.config.patch)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (decoded mean, mean, logvar): reconstruction without sampling."""
        mean, logvar = self.encode(pixels)
        return self.decode(mean), mean, logvar


class Encoder(nn.Module):
    """Pixels to the moments (mean and log variance, stacked) of the latents."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        channels, groups = config.block_out_channels, config.norm_num_groups
        self.conv_in = Convolution(config.in_channels, channels[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(EncoderBlock(config, level) for level in range(len(channels)))
        self.mid_block = MidBlock(channels[-1], groups=groups)
        self.conv_norm_out = GroupNorm(groups, channels[-1], eps=EPS)
        self.conv_out = Convolution(channels[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.bottom(self.descend(x))

    def descend(self, x: Tensor) -> Tensor:
        """From (folded) pixels to the size of latents: all that looks at a neighbourhood only, but for its norms."""
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return x

    def bottom(self, x: Tensor) -> Tensor:
        """The rest, at the size of latents, whose attention looks at all of the picture."""
        x = self.mid_block(x)
        moments: Tensor = self.conv_out(bent(self.conv_norm_out(x)))
        return moments


class Decoder(nn.Module):
    """Latents to pixels."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        channels, groups = config.block_out_channels, config.norm_num_groups
        self.conv_in = Convolution(config.latent_channels, channels[-1], 3, padding=1)
        self.up_blocks = nn.ModuleList(DecoderBlock(config, level) for level in reversed(range(len(channels))))
        self.mid_block = MidBlock(channels[-1], groups=groups)
        self.conv_norm_out = GroupNorm(groups, channels[0], eps=EPS)
        self.conv_out = Convolution(channels[0], config.out_channels, 3, padding=1)
        if config.patch > 1:  # beyond the edge there is more of the same, where else there is grey
            self.conv_out.padding_mode = "replicate"

    def forward(self, x: Tensor) -> Tensor:
        return self.climb(self.bottom(x))

    def bottom(self, x: Tensor) -> Tensor:
        """What is done at the size of latents, whose attention looks at all of the picture."""
        bottom: Tensor = self.mid_block(self.conv_in(x))
        return bottom

    def climb(self, x: Tensor) -> Tensor:
        """From the size of latents to (folded) pixels: all that looks at a neighbourhood only, but for its norms."""
        for block in self.up_blocks:
            x = block(x)
        return self.head(x)

    def head(self, x: Tensor) -> Tensor:
        """The last layer."""
        pixels: Tensor = self.conv_out(bent(self.conv_norm_out(x)))
        return pixels


class EncoderBlock(nn.Module):
    """One level of the encoder: residual blocks and, but for the last level, halving."""

    def __init__(self, config: VAEConfig, level: int) -> None:
        super().__init__()
        channels = config.block_out_channels
        inputs = [channels[max(level - 1, 0)], *[channels[level]] * (config.layers_per_block - 1)]
        self.resnets = _resnets(inputs, channels[level], config.norm_num_groups)
        is_last = level == len(channels) - 1
        self.downsamplers = None if is_last else nn.ModuleList([Downsample(channels[level], padding=0)])

    def forward(self, x: Tensor) -> Tensor:
        for resnet in self.resnets:
            x = resnet(x)
        if self.downsamplers is not None:
            x = self.downsamplers[0](x)
        return x


class MidBlock(nn.Module):
    """The bottom of either half: attention between two residual blocks."""

    def __init__(self, channels: int, *, groups: int) -> None:
        super().__init__()
        self.resnets = _resnets([channels, channels], channels, groups)
        self.attentions = nn.ModuleList([ImageAttention(channels, groups=groups, eps=EPS)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.resnets[0](x)
        x = self.attentions[0](x)
        out: Tensor = self.resnets[1](x)
        return out


class DecoderBlock(nn.Module):
    """One level of the decoder (`level` counts as in the encoder): residual blocks and, but for level 0, doubling."""

    def __init__(self, config: VAEConfig, level: int) -> None:
        super().__init__()
        channels = config.block_out_channels
        below = channels[min(level + 1, len(channels) - 1)]
        inputs = [below, *[channels[level]] * config.layers_per_block]
        self.resnets = _resnets(inputs, channels[level], config.norm_num_groups)
        self.upsamplers = nn.ModuleList([Upsample(channels[level])]) if level > 0 else None

    def forward(self, x: Tensor) -> Tensor:
        for resnet in self.resnets:
            x = resnet(x)
        if self.upsamplers is not None:
            x = self.upsamplers[0](x)
        return x


def _resnets(inputs: Sequence[int], channels: int, groups: int) -> nn.ModuleList:
    return nn.ModuleList(ResnetBlock(count, channels, groups=groups, eps=EPS) for count in inputs)
