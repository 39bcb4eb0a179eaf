"""What calls cost, against counts of the same networks made elsewhere."""

from __future__ import annotations

import pytest

from models.config import UNetConfig, VAEConfig
from models.cost import Costs

SD1 = Costs(
    UNetConfig.from_dict({"cross_attention_dim": 768, "attention_head_dim": 8}),
    VAEConfig.from_dict(
        {
            "block_out_channels": [128, 256, 512, 512],
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "layers_per_block": 2,
        }
    ),
)
CROSS_KEYS_AND_VALUES = 2.96e9  # of Stable Diffusion 1, which are kept for all steps and so not counted


@pytest.mark.parametrize(
    ("side", "row", "decode"), [(32, 180, 622), (64, 803, 2515), (96, 2148, 5754), (128, 4674, 10470)]
)
def test_operations_are_those_of_a_layer_by_layer_count(side: int, row: float, decode: float) -> None:
    assert SD1.row(side, side) + CROSS_KEYS_AND_VALUES == pytest.approx(row * 1e9, rel=1e-3)
    assert SD1.decode(side, side) == pytest.approx(decode * 1e9, rel=1e-3)


def test_no_more_is_held_than_two_rows_and_a_decoder_of_published_sizes() -> None:
    half = Costs(SD1.unet, SD1.vae, itemsize=2)

    assert 50e6 < half.row_bytes(64, 64) < 80e6
    assert 0.4e9 < half.decode_bytes(64, 64) < 0.6e9


def test_large_pictures_are_decoded_in_tiles_and_so_hold_little_more() -> None:
    assert SD1.decode_bytes(256, 256) < 1.5 * SD1.decode_bytes(128, 128)
    assert SD1.decode_bytes(256, 256, whole=True) == 4 * SD1.decode_bytes(128, 128, whole=True)


def test_a_picture_needs_what_its_greediest_part_needs() -> None:
    assert SD1.picture_bytes(64, 64, 2) == SD1.decode_bytes(64, 64)
    assert SD1.picture_bytes(256, 256, 4) == 4 * SD1.row_bytes(256, 256)
