"""The shapes of one checkpoint's networks, read from the `config.json` files of the diffusers folder layout.

Keys that we do not know are ignored, keys that are absent get the value that diffusers gives them, and a key that asks
for something we have not built raises `ConfigError`. Knows no tensor.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

ATTENTION_DOWN, PLAIN_DOWN = "CrossAttnDownBlock2D", "DownBlock2D"
ATTENTION_UP, PLAIN_UP = "CrossAttnUpBlock2D", "UpBlock2D"

# Keys of a U-Net config that change the network in ways that are not built here, with the values that mean "no".
UNSUPPORTED_UNET: Mapping[str, tuple[Any, ...]] = {
    "act_fn": ("silu", "swish"),
    "addition_embed_type": (None,),
    "attention_type": ("default",),
    "class_embed_type": (None,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "cross_attention_norm": (None,),
    "downsample_padding": (1,),
    "dual_cross_attention": (False,),
    "encoder_hid_dim_type": (None,),
    "mid_block_scale_factor": (1,),
    "mid_block_type": ("UNetMidBlock2DCrossAttn",),
    "num_class_embeds": (None,),
    "only_cross_attention": (False,),
    "resnet_out_scale_factor": (1,),
    "resnet_skip_time_act": (False,),
    "resnet_time_scale_shift": ("default",),
    "time_cond_proj_dim": (None,),
    "time_embedding_act_fn": (None,),
    "time_embedding_type": ("positional",),
    "timestep_post_act": (None,),
}
UNSUPPORTED_VAE: Mapping[str, tuple[Any, ...]] = {
    "act_fn": ("silu", "swish"),
    "mid_block_add_attention": (True,),
    "shift_factor": (None, 0, 0.0),
}


class ConfigError(ValueError):
    """A network's configuration is wrong or asks for something that is not built."""


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Shape of a `UNet2DConditionModel`. `heads` is what its config calls `attention_head_dim` (a count, per level)."""

    in_channels: int
    out_channels: int
    block_out_channels: tuple[int, ...]
    down_block_types: tuple[str, ...]
    up_block_types: tuple[str, ...]
    layers_per_block: tuple[int, ...]
    transformer_layers_per_block: tuple[int, ...]
    heads: tuple[int, ...]
    cross_attention_dim: int
    norm_num_groups: int
    norm_eps: float
    use_linear_projection: bool
    upcast_attention: bool  # to float32, where the network works in float16
    flip_sin_to_cos: bool
    freq_shift: float
    center_input_sample: bool
    time_embedding_dim: int
    sample_size: tuple[int, int] | None  # height, width of the native latents

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Self:
        """Read a diffusers `unet/config.json`. Raises `ConfigError` naming the key."""
        _refuse(config, UNSUPPORTED_UNET)
        channels = _integers(config, "block_out_channels", (320, 640, 1280, 1280))
        levels = len(channels)
        heads_key = "attention_head_dim" if config.get("num_attention_heads") is None else "num_attention_heads"
        down = _names(config, "down_block_types", (ATTENTION_DOWN,) * 3 + (PLAIN_DOWN,), {ATTENTION_DOWN, PLAIN_DOWN})
        up = _names(config, "up_block_types", (PLAIN_UP,) + (ATTENTION_UP,) * 3, {ATTENTION_UP, PLAIN_UP})
        unet = cls(
            in_channels=_integer(config, "in_channels", 4),
            out_channels=_integer(config, "out_channels", 4),
            block_out_channels=channels,
            down_block_types=down,
            up_block_types=up,
            layers_per_block=_per_level(config, "layers_per_block", 2, levels),
            transformer_layers_per_block=_per_level(config, "transformer_layers_per_block", 1, levels),
            heads=_per_level(config, heads_key, 8, levels),
            cross_attention_dim=_integer(config, "cross_attention_dim", 1280),
            norm_num_groups=_integer(config, "norm_num_groups", 32),
            norm_eps=_number(config, "norm_eps", 1e-5),
            use_linear_projection=_flag(config, "use_linear_projection", False),
            upcast_attention=_flag(config, "upcast_attention", _flag(config, "use_linear_projection", False)),
            flip_sin_to_cos=_flag(config, "flip_sin_to_cos", True),
            freq_shift=_number(config, "freq_shift", 0),
            center_input_sample=_flag(config, "center_input_sample", False),
            time_embedding_dim=_integer(config, "time_embedding_dim", 4 * channels[0]),
            sample_size=_size(config),
        )
        unet._check()
        return unet

    def _check(self) -> None:
        levels = len(self.block_out_channels)
        for name in ("down_block_types", "up_block_types"):
            if len(getattr(self, name)) != levels:
                raise ConfigError(f"{name} must have {levels} entries, as block_out_channels has")
        _check_groups(self.block_out_channels, self.norm_num_groups)
        for channels, heads in zip(self.block_out_channels, self.heads, strict=True):
            if channels % heads:
                raise ConfigError(
                    f"attention_head_dim (the number of heads) {heads} does not divide {channels} channels"
                )


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """Shape of an `AutoencoderKL`, and how its latents are scaled for the U-Net."""

    in_channels: int
    out_channels: int
    latent_channels: int
    block_out_channels: tuple[int, ...]
    layers_per_block: int
    norm_num_groups: int
    use_quant_conv: bool
    use_post_quant_conv: bool
    scaling_factor: float
    latents_mean: tuple[float, ...] | None
    latents_std: tuple[float, ...] | None

    @property
    def patch(self) -> int:
        """Side of the squares of pixels that are folded into channels: 3 * patch**2 of them go in and come out."""
        return math.isqrt(self.in_channels // 3)

    @property
    def factor(self) -> int:
        """How many pixels one latent stands for, along one side."""
        return int(2 ** (len(self.block_out_channels) - 1)) * self.patch

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Self:
        """Read a diffusers `vae/config.json`. Raises `ConfigError` naming the key."""
        _refuse(config, UNSUPPORTED_VAE)
        channels = _integers(config, "block_out_channels", (64,))
        for key, block in (("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")):
            if len(_names(config, key, (block,) * len(channels), {block})) != len(channels):
                raise ConfigError(f"{key} must have {len(channels)} entries, as block_out_channels has")
        vae = cls(
            in_channels=_integer(config, "in_channels", 3),
            out_channels=_integer(config, "out_channels", 3),
            latent_channels=_integer(config, "latent_channels", 4),
            block_out_channels=channels,
            layers_per_block=_integer(config, "layers_per_block", 1),
            norm_num_groups=_integer(config, "norm_num_groups", 32),
            use_quant_conv=_flag(config, "use_quant_conv", True),
            use_post_quant_conv=_flag(config, "use_post_quant_conv", True),
            scaling_factor=_number(config, "scaling_factor", 0.18215),
            latents_mean=_statistics(config, "latents_mean"),
            latents_std=_statistics(config, "latents_std"),
        )
        _check_groups(channels, vae.norm_num_groups)
        for key, count in (("in_channels", vae.in_channels), ("out_channels", vae.out_channels)):
            if count != 3 * vae.patch**2:
                raise ConfigError(f"{key} must be 3, or 3 times a square for pixels folded into channels, not {count}")
        for key, values in (("scaling_factor", (vae.scaling_factor,)), ("latents_std", vae.latents_std or ())):
            if 0 in values:
                raise ConfigError(f"{key} must not be 0, since latents are divided by it")
        for key in ("latents_mean", "latents_std"):
            values = getattr(vae, key)
            if values is not None and len(values) != vae.latent_channels:
                raise ConfigError(f"{key} must have {vae.latent_channels} entries, one a latent channel")
        return vae


@dataclass(frozen=True, kw_only=True)
class BundleConfig:
    """What a job must know of the networks that will answer it. `width` and `height` are the native size in pixels."""

    latent_channels: int
    unet_in_channels: int
    vae_factor: int
    width: int
    height: int
    context_width: int
    max_tokens: int


def _refuse(config: Mapping[str, Any], unsupported: Mapping[str, tuple[Any, ...]]) -> None:
    for key, allowed in unsupported.items():
        if key in config and config[key] not in allowed:
            raise ConfigError(f"{key} = {config[key]!r} is not supported; it would have to be {allowed[0]!r}")


def _check_groups(channels: Sequence[int], groups: int) -> None:
    for count in channels:
        if count % groups:
            raise ConfigError(f"norm_num_groups {groups} does not divide {count} of block_out_channels")


def _integer(config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{key} must be a positive whole number, not {value!r}")
    return value


def _number(config: Mapping[str, Any], key: str, default: float) -> float:
    value = config.get(key)
    if value is None:
        return float(default)
    if not _is_number(value):
        raise ConfigError(f"{key} must be a number, not {value!r}")
    return float(value)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _flag(config: Mapping[str, Any], key: str, default: bool) -> bool:
    value = config.get(key)
    return default if value is None else bool(value)


def _integers(config: Mapping[str, Any], key: str, default: tuple[int, ...]) -> tuple[int, ...]:
    value = config.get(key)
    if value is None:
        return default
    if not isinstance(value, Sequence) or not value or not all(type(item) is int and item > 0 for item in value):
        raise ConfigError(f"{key} must be a list of positive whole numbers, not {value!r}")
    return tuple(value)


def _per_level(config: Mapping[str, Any], key: str, default: int, levels: int) -> tuple[int, ...]:
    value = config.get(key)
    if value is None or isinstance(value, int):
        return (_integer(config, key, default),) * levels
    numbers = _integers(config, key, (default,))
    if len(numbers) != levels:
        raise ConfigError(f"{key} must be one number or {levels}, one a level of block_out_channels; not {value!r}")
    return numbers


def _names(config: Mapping[str, Any], key: str, default: tuple[str, ...], known: set[str]) -> tuple[str, ...]:
    names = config.get(key) or default
    if not isinstance(names, list | tuple):
        raise ConfigError(f"{key} must be a list of names, not {names!r}")
    if unknown := [name for name in names if not isinstance(name, str) or name not in known]:
        raise ConfigError(f"{key}: {unknown[0]!r} is not supported; known are {', '.join(sorted(known))}")
    return tuple(names)


def _statistics(config: Mapping[str, Any], key: str) -> tuple[float, ...] | None:
    value = config.get(key)
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(_is_number(item) for item in value):
        raise ConfigError(f"{key} must be a list of numbers, not {value!r}")
    return tuple(float(item) for item in value)


def _size(config: Mapping[str, Any]) -> tuple[int, int] | None:
    if config.get("sample_size") is None:
        return None
    if isinstance(config["sample_size"], int):
        side = _integer(config, "sample_size", 1)
        return side, side
    size = _integers(config, "sample_size", (1, 1))
    if len(size) != 2:
        raise ConfigError(f"sample_size must be one number or height and width, not {size!r}")
    return size[0], size[1]
