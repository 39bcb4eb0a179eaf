"""The tables of names: every tensor has one place, there and back, and no prefix stands for two."""

from __future__ import annotations

import pytest

from models.checkpoint.keys import KeyMap, old_vae_keys, unet_keys, vae_keys
from models.config import UNetConfig, VAEConfig
from models.unet import UNet
from models.vae import VAE
from tests.reference.families import original_unet_key, original_vae_key

FIRST = UNetConfig.from_dict({"cross_attention_dim": 768, "block_out_channels": [32, 64, 64, 64]})
UNEVEN = UNetConfig.from_dict({"block_out_channels": [32, 64, 64, 64], "layers_per_block": [1, 3, 2, 1]})
THREE = UNetConfig.from_dict(
    {
        "block_out_channels": [32, 64, 64],
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    }
)
VAE_CONFIG = VAEConfig.from_dict({"block_out_channels": [32, 32, 64, 64], "layers_per_block": 2})

each_shape = pytest.mark.parametrize("config", [FIRST, UNEVEN, THREE], ids=["sd1", "uneven", "three levels"])


def their_names(keys: KeyMap, ours: list[str]) -> list[str]:
    """The names in a single file of all our tensors; each is renamed once, to a name of its own, and back."""
    back = keys.reversed()
    theirs = [str(back.rename(key)) for key in ours]
    assert "None" not in theirs
    assert len(set(theirs)) == len(ours)
    assert [keys.rename(key) for key in theirs] == ours
    return theirs


@each_shape
def test_every_tensor_of_the_unet_has_one_name_in_either_layout(config: UNetConfig) -> None:
    keys, used = unet_keys(config), set()
    for key in their_names(keys, list(UNet(config).state_dict())):
        used |= {prefix for prefix in keys.table if key.startswith(f"{prefix}.")}
    # no shortcut where a block keeps its width; everything else of the table is used
    assert {prefix for prefix in keys.table if prefix not in used and "skip_connection" not in prefix} == set()


def test_every_tensor_of_the_vae_has_one_name_in_either_layout() -> None:
    keys, used = vae_keys(VAE_CONFIG), set()
    for key in their_names(keys, list(VAE(VAE_CONFIG).state_dict())):
        used |= {prefix for prefix in keys.table if key.startswith(f"{prefix}.")}
    assert {prefix for prefix in keys.table if prefix not in used and "nin_shortcut" not in prefix} == set()


@pytest.mark.parametrize("keys", [unet_keys(FIRST), unet_keys(UNEVEN), vae_keys(VAE_CONFIG), old_vae_keys()])
def test_no_prefix_begins_another(keys: KeyMap) -> None:
    for names in (keys.table, keys.reversed().table):
        for name in names:
            heads = {name[:index] for index in range(len(name)) if name[index] == "."}
            assert not heads & names.keys()
    assert len(set(keys.table.values())) == len(keys.table)


def test_the_tables_say_what_closed_formulas_say() -> None:
    three, vae = unet_keys(THREE).reversed(), vae_keys(VAE_CONFIG).reversed()
    assert {key: three.rename(key) for key in UNet(THREE).state_dict()} == {
        key: original_unet_key(key) for key in UNet(THREE).state_dict()
    }
    assert {key: vae.rename(key) for key in VAE(VAE_CONFIG).state_dict()} == {
        key: original_vae_key(key) for key in VAE(VAE_CONFIG).state_dict()
    }


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
         "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"),
        ("input_blocks.3.0.op.bias", "down_blocks.0.downsamplers.0.conv.bias"),
        ("middle_block.2.out_layers.3.weight", "mid_block.resnets.1.conv2.weight"),
        ("output_blocks.2.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
        ("output_blocks.5.2.conv.weight", "up_blocks.1.upsamplers.0.conv.weight"),
        ("output_blocks.11.1.proj_out.weight", "up_blocks.3.attentions.2.proj_out.weight"),
        ("out.2.bias", "conv_out.bias"),
    ],
)  # fmt: skip
def test_names_of_stable_diffusion_1_are_as_people_know_them(theirs: str, ours: str) -> None:
    assert unet_keys(FIRST).rename(theirs) == ours


def test_a_name_that_is_in_no_table_has_no_other() -> None:
    keys = unet_keys(FIRST)
    assert keys.rename("input_blocks.99.0.in_layers.0.weight") is None
    assert keys.rename("betas") is None
