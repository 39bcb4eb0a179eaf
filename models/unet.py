"""The denoising U-Net of Stable Diffusion 1 and 2, arXiv:2112.10752.

Parameter names are those of diffusers' `UNet2DConditionModel`, so that its files load without a map. Knows neither
schedules nor guidance: it maps noisy latents, a training timestep a row and a text context to a raw prediction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.attention import Attention, Context, SpatialTransformer, TransformerBlock
from models.blocks import Downsample, ResnetBlock, Upsample
from models.config import ATTENTION_DOWN, ATTENTION_UP, UNetConfig
from models.convolution import Convolution
from models.norm import GroupNorm, bent

MAX_PERIOD = 10_000


class UNet(nn.Module):
    """Predict from noisy latents (B, C, h, w), `timestep` (B,) and `context` (B, T, D). Any h and w, odd ones too."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.block_out_channels
        self.conv_in = Convolution(config.in_channels, channels[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(config)
        self.down_blocks = nn.ModuleList(DownBlock(config, level) for level in range(len(channels)))
        self.mid_block = MidBlock(config)
        self.up_blocks = nn.ModuleList(UpBlock(config, level) for level in reversed(range(len(channels))))
        self.conv_norm_out = GroupNorm(config.norm_num_groups, channels[0], eps=config.norm_eps)
        self.conv_out = Convolution(channels[0], config.out_channels, 3, padding=1)

    def forward(self, sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        return self.predict(sample, self.shifts(timestep), self.remember(context))

    def shifts(self, timestep: Tensor) -> Tensor:
        """Return what each timestep (B,) adds inside the residual blocks, side by side in their order: (B, S).

        It depends on nothing else, so that it can be kept for all pictures that pass the same timestep.
        """
        time = F.silu(self.time_embedding(timestep))
        return torch.cat([project(time) for project in self._projections], dim=1)

    def remember(self, context: Tensor) -> Tensor:
        """Return the keys and values of a context (B, T, D) in all transformers, side by side in their order.

        They depend on nothing else, so that they can be kept for all steps of all pictures of a prompt: (B, T, M).
        """
        return torch.cat([attention.remember(context) for attention in self._cross_attentions], dim=-1)

    def predict(self, sample: Tensor, shifts: Tensor, memory: Tensor, of_pictures: Tensor | None = None) -> Tensor:
        """Predict from latents (B, C, h, w), their `shifts` (B, S) and the `memory` of their context (B, T, M).

        With `of_pictures` (B,) latents and shifts are those of pictures, and it says which one each row takes.
        """
        if self.config.center_input_sample:
            sample = 2 * sample - 1
        unused = iter(torch.split(shifts, [project.out_features for project in self._projections], dim=1))
        widths = [2 * attention.to_k.out_features for attention in self._cross_attentions]
        context = Context(torch.split(memory, widths, dim=2), of_pictures)
        x = self.conv_in(sample)
        skips = [x]
        for block in self.down_blocks:
            x = block(x, unused, context, skips)
        x = self.mid_block(x, unused, context)
        for block in self.up_blocks:
            x = block(x, unused, context, skips)
        prediction: Tensor = self.conv_out(bent(self.conv_norm_out(x)))
        return prediction

    @cached_property
    def _projections(self) -> list[nn.Linear]:
        """Each residual block's projection of time, in the order in which the blocks run."""
        blocks = (block for block in self.modules() if isinstance(block, ResnetBlock))
        return [block.time_emb_proj for block in blocks if block.time_emb_proj is not None]

    @cached_property
    def _cross_attentions(self) -> list[Attention]:
        """The attention to the context of each transformer block, in the order in which the blocks run."""
        return [block.attn2 for block in self.modules() if isinstance(block, TransformerBlock)]


class TimeEmbedding(nn.Module):
    """Embed timesteps (B,), fractions allowed, by sinusoids (in float32, arXiv:1706.03762 3.5) and two layers."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.width, self.freq_shift, self.flip = (
            config.block_out_channels[0],
            config.freq_shift,
            config.flip_sin_to_cos,
        )
        self.linear_1 = nn.Linear(self.width, config.time_embedding_dim)
        self.linear_2 = nn.Linear(config.time_embedding_dim, config.time_embedding_dim)

    def forward(self, timestep: Tensor) -> Tensor:
        waves = self._sinusoids(timestep).to(self.linear_1.weight.dtype)
        embedded: Tensor = self.linear_2(F.silu(self.linear_1(waves)))
        return embedded

    def _sinusoids(self, timestep: Tensor) -> Tensor:
        half = self.width // 2
        exponent = -math.log(MAX_PERIOD) * torch.arange(half, dtype=torch.float32, device=timestep.device)
        angles = timestep[:, None].float() * torch.exp(exponent / (half - self.freq_shift))
        waves = (angles.cos(), angles.sin()) if self.flip else (angles.sin(), angles.cos())
        return F.pad(torch.cat(waves, dim=1), (0, self.width % 2))


class DownBlock(nn.Module):
    """One level on the way down: residual blocks, each with a transformer where the level has them, and halving."""

    def __init__(self, config: UNetConfig, level: int) -> None:
        super().__init__()
        channels, layers = config.block_out_channels, config.layers_per_block[level]
        inputs = [channels[max(level - 1, 0)], *[channels[level]] * (layers - 1)]
        self.resnets = nn.ModuleList(_resnet(config, count, channels[level]) for count in inputs)
        self.attentions = _transformers(config, level, layers, config.down_block_types[level] == ATTENTION_DOWN)
        is_last = level == len(channels) - 1
        self.downsamplers = None if is_last else nn.ModuleList([Downsample(channels[level], padding=1)])

    def forward(self, x: Tensor, shifts: Iterator[Tensor], context: Context, skips: list[Tensor]) -> Tensor:
        """Transform x, appending every state that the way up will need to `skips`."""
        for index, resnet in enumerate(self.resnets):
            x = resnet(x, context.spread(next(shifts), x))
            if self.attentions is not None:
                x = self.attentions[index](x, context)
            skips.append(x)
        if self.downsamplers is not None:
            x = self.downsamplers[0](x)
            skips.append(x)
        return x


class MidBlock(nn.Module):
    """The bottom: a transformer between two residual blocks."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        channels = config.block_out_channels[-1]
        self.resnets = nn.ModuleList(_resnet(config, channels, channels) for _ in range(2))
        self.attentions = nn.ModuleList([_transformer(config, len(config.block_out_channels) - 1)])

    def forward(self, x: Tensor, shifts: Iterator[Tensor], context: Context) -> Tensor:
        x = self.resnets[0](x, context.spread(next(shifts), x))
        x = self.attentions[0](x, context)
        out: Tensor = self.resnets[1](x, context.spread(next(shifts), x))
        return out


class UpBlock(nn.Module):
    """One level on the way up: residual blocks that each take in one skip, transformers, and doubling.

    `level` counts as on the way down, so the first block up has the highest.
    """

    def __init__(self, config: UNetConfig, level: int) -> None:
        super().__init__()
        channels, layers = config.block_out_channels, config.layers_per_block[level] + 1
        here, below, above = channels[level], channels[min(level + 1, len(channels) - 1)], channels[max(level - 1, 0)]
        skips = [*[here] * (layers - 1), above]
        inputs = [below, *[here] * (layers - 1)]
        self.resnets = nn.ModuleList(
            _resnet(config, count + skip, here) for count, skip in zip(inputs, skips, strict=True)
        )
        block_type = config.up_block_types[len(channels) - 1 - level]
        self.attentions = _transformers(config, level, layers, block_type == ATTENTION_UP)
        self.upsamplers = nn.ModuleList([Upsample(here)]) if level > 0 else None

    def forward(self, x: Tensor, shifts: Iterator[Tensor], context: Context, skips: list[Tensor]) -> Tensor:
        """Transform x, taking states from the end of `skips`; doubling goes to the size of the next one."""
        for index, resnet in enumerate(self.resnets):
            x = torch.cat((x, context.spread(skips.pop(), x)), dim=1)
            x = resnet(x, context.spread(next(shifts), x))
            if self.attentions is not None:
                x = self.attentions[index](x, context)
        if self.upsamplers is not None:
            x = self.upsamplers[0](x, (skips[-1].shape[2], skips[-1].shape[3]))
        return x


def _resnet(config: UNetConfig, in_channels: int, out_channels: int) -> ResnetBlock:
    return ResnetBlock(
        in_channels,
        out_channels,
        groups=config.norm_num_groups,
        eps=config.norm_eps,
        time_channels=config.time_embedding_dim,
    )


def _transformer(config: UNetConfig, level: int) -> SpatialTransformer:
    return SpatialTransformer(
        config.block_out_channels[level],
        heads=config.heads[level],
        context_channels=config.cross_attention_dim,
        layers=config.transformer_layers_per_block[level],
        groups=config.norm_num_groups,
        linear=config.use_linear_projection,
        upcast=config.upcast_attention,
    )


def _transformers(config: UNetConfig, level: int, count: int, wanted: bool) -> nn.ModuleList | None:
    return nn.ModuleList(_transformer(config, level) for _ in range(count)) if wanted else None
