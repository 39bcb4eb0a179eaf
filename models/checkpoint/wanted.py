"""The tensors that each network needs, by name and shape, from its configuration alone. Imports no torch.

They are those of the networks that `loading.py` builds from the same configurations, which a test holds them to. So a
file's header tells whether it will fit, before anything is built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.config import ATTENTION_DOWN, ATTENTION_UP, UNetConfig, VAEConfig

Shape = tuple[int, ...]
Wanted = Iterator[tuple[str, Shape]]

CLIP = {  # what transformers' `CLIPTextConfig` takes where a config.json is silent
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
}


def unet(config: UNetConfig) -> Wanted:
    """The tensors of `models.unet.UNet`."""
    channels, time = config.block_out_channels, config.time_embedding_dim
    last = len(channels) - 1
    yield from _layer("conv_in", channels[0], config.in_channels, 3, 3)
    yield from _layer("time_embedding.linear_1", time, channels[0])
    yield from _layer("time_embedding.linear_2", time, time)
    for level, here in enumerate(channels):
        above, below, layers = (
            channels[max(level - 1, 0)],
            channels[min(level + 1, last)],
            config.layers_per_block[level],
        )
        down, up = f"down_blocks.{level}", f"up_blocks.{last - level}"
        yield from _unet_blocks(down, config, level, [above, *[here] * (layers - 1)])
        yield from _unet_blocks(up, config, level, [below + here, *[2 * here] * (layers - 1), here + above])
        if level < last:
            yield from _layer(f"{down}.downsamplers.0.conv", here, here, 3, 3)
        if level > 0:
            yield from _layer(f"{up}.upsamplers.0.conv", here, here, 3, 3)
    for index in range(2):
        yield from _resnet(f"mid_block.resnets.{index}", channels[-1], channels[-1], time)
    yield from _transformer("mid_block.attentions.0", config, last)
    yield from _layer("conv_norm_out", channels[0])
    yield from _layer("conv_out", config.out_channels, channels[0], 3, 3)


def vae(config: VAEConfig) -> Wanted:
    """The tensors of `models.vae.VAE`."""
    channels, latent, layers = config.block_out_channels, config.latent_channels, config.layers_per_block
    last = len(channels) - 1
    ends = (
        ("encoder", config.in_channels, channels[0], channels[-1], 2 * latent),
        ("decoder", latent, channels[-1], channels[0], config.out_channels),
    )
    for half, inputs, first, final, outputs in ends:
        yield from _layer(f"{half}.conv_in", first, inputs, 3, 3)
        for index in range(2):
            yield from _resnet(f"{half}.mid_block.resnets.{index}", channels[-1], channels[-1])
        yield from _image_attention(f"{half}.mid_block.attentions.0", channels[-1])
        yield from _layer(f"{half}.conv_norm_out", final)
        yield from _layer(f"{half}.conv_out", outputs, final, 3, 3)
    for level, here in enumerate(channels):
        above, below = channels[max(level - 1, 0)], channels[min(level + 1, last)]
        down, up = f"encoder.down_blocks.{level}", f"decoder.up_blocks.{last - level}"
        for index in range(layers):
            yield from _resnet(f"{down}.resnets.{index}", here if index else above, here)
        for index in range(layers + 1):
            yield from _resnet(f"{up}.resnets.{index}", here if index else below, here)
        if level < last:
            yield from _layer(f"{down}.downsamplers.0.conv", here, here, 3, 3)
        if level > 0:
            yield from _layer(f"{up}.upsamplers.0.conv", here, here, 3, 3)
    if config.use_quant_conv:
        yield from _layer("quant_conv", 2 * latent, 2 * latent, 1, 1)
    if config.use_post_quant_conv:
        yield from _layer("post_quant_conv", latent, latent, 1, 1)


def clip(config: Mapping[str, Any]) -> Wanted:
    """The tensors of transformers' `CLIPTextModel`."""
    own = CLIP | {key: config[key] for key in CLIP if key in config}
    width, hidden = own["hidden_size"], own["intermediate_size"]
    yield "embeddings.token_embedding.weight", (own["vocab_size"], width)
    yield "embeddings.position_embedding.weight", (own["max_position_embeddings"], width)
    for index in range(own["num_hidden_layers"]):
        layer = f"encoder.layers.{index}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _layer(f"{layer}.self_attn.{name}", width, width)
        yield from _layer(f"{layer}.layer_norm1", width)
        yield from _layer(f"{layer}.layer_norm2", width)
        yield from _layer(f"{layer}.mlp.fc1", hidden, width)
        yield from _layer(f"{layer}.mlp.fc2", width, hidden)
    yield from _layer("final_layer_norm", width)


def open_clip(config: Mapping[str, Any]) -> Wanted:
    """The tensors of open_clip's `TextTransformer`, without a projection."""
    width, hidden = config["hidden_size"], config["intermediate_size"]
    yield "positional_embedding", (config["max_position_embeddings"], width)
    yield "token_embedding.weight", (config["vocab_size"], width)
    for index in range(config["num_hidden_layers"]):
        block = f"transformer.resblocks.{index}"
        yield f"{block}.attn.in_proj_weight", (3 * width, width)
        yield f"{block}.attn.in_proj_bias", (3 * width,)
        yield from _layer(f"{block}.attn.out_proj", width, width)
        yield from _layer(f"{block}.ln_1", width)
        yield from _layer(f"{block}.ln_2", width)
        yield from _layer(f"{block}.mlp.c_fc", hidden, width)
        yield from _layer(f"{block}.mlp.c_proj", width, hidden)
    yield from _layer("ln_final", width)


def _layer(name: str, outputs: int, *inputs: int) -> Wanted:
    """Weight and bias of a linear layer, a convolution, or, without inputs, a norm."""
    yield f"{name}.weight", (outputs, *inputs)
    yield f"{name}.bias", (outputs,)


def _resnet(name: str, inputs: int, outputs: int, time: int | None = None) -> Wanted:
    yield from _layer(f"{name}.norm1", inputs)
    yield from _layer(f"{name}.conv1", outputs, inputs, 3, 3)
    if time:
        yield from _layer(f"{name}.time_emb_proj", outputs, time)
    yield from _layer(f"{name}.norm2", outputs)
    yield from _layer(f"{name}.conv2", outputs, outputs, 3, 3)
    if inputs != outputs:
        yield from _layer(f"{name}.conv_shortcut", outputs, inputs, 1, 1)


def _unet_blocks(name: str, config: UNetConfig, level: int, inputs: list[int]) -> Wanted:
    """The residual blocks of a level in one direction, each with a transformer where the level has them."""
    types = config.down_block_types if name.startswith("down") else tuple(reversed(config.up_block_types))
    has_attention = types[level] in (ATTENTION_DOWN, ATTENTION_UP)
    for index, count in enumerate(inputs):
        yield from _resnet(
            f"{name}.resnets.{index}", count, config.block_out_channels[level], config.time_embedding_dim
        )
        if has_attention:
            yield from _transformer(f"{name}.attentions.{index}", config, level)


def _transformer(name: str, config: UNetConfig, level: int) -> Wanted:
    width, context = config.block_out_channels[level], config.cross_attention_dim
    window = () if config.use_linear_projection else (1, 1)
    yield from _layer(f"{name}.norm", width)
    yield from _layer(f"{name}.proj_in", width, width, *window)
    yield from _layer(f"{name}.proj_out", width, width, *window)
    for index in range(config.transformer_layers_per_block[level]):
        block = f"{name}.transformer_blocks.{index}"
        for number, source in ((1, width), (2, context)):
            yield f"{block}.attn{number}.to_q.weight", (width, width)
            yield f"{block}.attn{number}.to_k.weight", (width, source)
            yield f"{block}.attn{number}.to_v.weight", (width, source)
            yield from _layer(f"{block}.attn{number}.to_out.0", width, width)
        for number in (1, 2, 3):
            yield from _layer(f"{block}.norm{number}", width)
        yield from _layer(f"{block}.ff.net.0.proj", 8 * width, width)
        yield from _layer(f"{block}.ff.net.2", width, 4 * width)


def _image_attention(name: str, width: int) -> Wanted:
    yield from _layer(f"{name}.group_norm", width)
    for part in ("to_q", "to_k", "to_v", "to_out.0"):
        yield from _layer(f"{name}.{part}", width, width)
