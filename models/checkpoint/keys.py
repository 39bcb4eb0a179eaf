"""The names of tensors in the forms that files have, as tables: a prefix there, the prefix here.

"Here" is the folder layout of diffusers as it is written today; the tables work in both directions. The original
single files number the blocks of the U-Net through, and the levels of the VAE's decoder from the other end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from models.config import ATTENTION_DOWN, ATTENTION_UP, UNetConfig, VAEConfig

RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
TRANSFORMER = {name: name for name in ("norm", "proj_in", "transformer_blocks", "proj_out")}
UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
VAE_RESNET = {name: name for name in ("norm1", "conv1", "norm2", "conv2")} | {"nin_shortcut": "conv_shortcut"}
VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
OLD_VAE_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
VAE_ENDS = {"conv_in": "conv_in", "norm_out": "conv_norm_out", "conv_out": "conv_out"}


@dataclass(frozen=True)
class KeyMap:
    """Prefixes of tensor names, each with what takes its place. No prefix begins another one."""

    table: Mapping[str, str]

    def rename(self, key: str) -> str | None:
        """Return the new name of a tensor, or None where no prefix fits."""
        head, _dot, tail = key.rpartition(".")
        while head:
            if head in self.table:
                return f"{self.table[head]}.{tail}"
            head, _dot, last = head.rpartition(".")
            tail = f"{last}.{tail}"
        return None

    def reversed(self) -> KeyMap:
        """Return the map of the other direction."""
        return KeyMap({ours: theirs for theirs, ours in self.table.items()})


def unet_keys(config: UNetConfig) -> KeyMap:
    """Map the U-Net of a single file, its prefix `model.diffusion_model.` taken off, to the folder layout."""
    table = dict(UNET_ENDS)
    levels = len(config.block_out_channels)
    numbers = count(1)
    for level in range(levels):
        has_attention = config.down_block_types[level] == ATTENTION_DOWN
        for index in range(config.layers_per_block[level]):
            table |= _unet_block(f"input_blocks.{next(numbers)}", f"down_blocks.{level}", index, has_attention)
        if level < levels - 1:
            table[f"input_blocks.{next(numbers)}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
    table |= _under("middle_block.0", "mid_block.resnets.0", RESNET)
    table |= _under("middle_block.1", "mid_block.attentions.0", TRANSFORMER)
    table |= _under("middle_block.2", "mid_block.resnets.1", RESNET)
    numbers = count()
    for block, layers in enumerate(reversed(config.layers_per_block)):
        has_attention = config.up_block_types[block] == ATTENTION_UP
        for index in range(layers + 1):
            number = next(numbers)
            table |= _unet_block(f"output_blocks.{number}", f"up_blocks.{block}", index, has_attention)
        if block < levels - 1:
            table[f"output_blocks.{number}.{1 + has_attention}.conv"] = f"up_blocks.{block}.upsamplers.0.conv"
    return KeyMap(table)


def vae_keys(config: VAEConfig) -> KeyMap:
    """Map the VAE of a single file, its prefix `first_stage_model.` taken off, to the folder layout."""
    table = {name: name for name in ("quant_conv", "post_quant_conv")}
    levels, layers = len(config.block_out_channels), config.layers_per_block
    for half in ("encoder", "decoder"):
        table |= _under(half, half, VAE_ENDS)
        table |= _under(f"{half}.mid.block_1", f"{half}.mid_block.resnets.0", VAE_RESNET)
        table |= _under(f"{half}.mid.attn_1", f"{half}.mid_block.attentions.0", VAE_ATTENTION)
        table |= _under(f"{half}.mid.block_2", f"{half}.mid_block.resnets.1", VAE_RESNET)
    for level in range(levels):
        down, up = f"encoder.down_blocks.{level}", f"decoder.up_blocks.{levels - 1 - level}"
        for index in range(layers):
            table |= _under(f"encoder.down.{level}.block.{index}", f"{down}.resnets.{index}", VAE_RESNET)
        for index in range(layers + 1):
            table |= _under(f"decoder.up.{level}.block.{index}", f"{up}.resnets.{index}", VAE_RESNET)
        if level < levels - 1:
            table[f"encoder.down.{level}.downsample.conv"] = f"{down}.downsamplers.0.conv"
        if level > 0:
            table[f"decoder.up.{level}.upsample.conv"] = f"{up}.upsamplers.0.conv"
    return KeyMap(table)


def old_vae_keys() -> KeyMap:
    """Map the attention of the folders of 2022 to today's names; other keys have them already."""
    attentions = [f"{half}.mid_block.attentions.0" for half in ("encoder", "decoder")]
    return KeyMap({key: new for name in attentions for key, new in _under(name, name, OLD_VAE_ATTENTION).items()})


def _unet_block(theirs: str, ours: str, index: int, has_attention: bool) -> dict[str, str]:
    table = _under(f"{theirs}.0", f"{ours}.resnets.{index}", RESNET)
    return table | (_under(f"{theirs}.1", f"{ours}.attentions.{index}", TRANSFORMER) if has_attention else {})


def _under(theirs: str, ours: str, names: Mapping[str, str]) -> dict[str, str]:
    return {f"{theirs}.{their_name}": f"{ours}.{our_name}" for their_name, our_name in names.items()}
