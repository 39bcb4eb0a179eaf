"""Pictures that are too large for the memory are refused with a size that fits, at the API and in the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.engine.task import Failed
from app.services.errors import InvalidInput
from app.services.room import Room
from models.checkpoint.facts import inspect
from models.config import UNetConfig, VAEConfig
from models.cost import Costs
from models.recipe import Recipe
from models.room import too_large
from tests.app.fake_bundle import FakeBundle, Heard, engine_of, finish

MIB = 2**20
FIRST = Costs(  # Stable Diffusion 1 in 16 bits
    UNetConfig.from_dict({"cross_attention_dim": 768}),
    VAEConfig.from_dict({"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2}),
    itemsize=2,
)


def recipe(**changes: object) -> Recipe:
    return Recipe.model_validate({"prompt": "a lake", "seed": 1, "width": 512, "height": 512, **changes})


def refusal(room: Room, wanted: Recipe, path: Path) -> list[dict[str, str]]:
    with pytest.raises(InvalidInput) as error:
        room.require(wanted, inspect(path))
    return error.value.errors


def test_a_picture_beyond_the_memory_is_refused_by_the_size_that_fits(tiny_checkpoint: Path) -> None:
    room = Room()
    room.note({"memory": {"pictures": 8 * MIB}, "dtype": "float32"})
    room.require(recipe(width=64, height=64), inspect(tiny_checkpoint))
    errors = refusal(room, recipe(width=2048, height=2048), tiny_checkpoint)
    assert [error["field"] for error in errors] == ["width", "height"]
    assert "2048 x 2048 needs about" in errors[0]["message"]
    side = int(errors[0]["message"].split("at most about ")[1].split(" ")[0])
    assert 64 <= side < 2048
    room.require(recipe(width=side, height=side), inspect(tiny_checkpoint))
    refusal(room, recipe(width=side + 64, height=side + 64), tiny_checkpoint)


def test_a_second_pass_counts_with_the_size_that_it_enlarges_to(tiny_checkpoint: Path) -> None:
    room = Room()
    room.note({"memory": {"pictures": 24 * MIB}, "dtype": "float32"})
    room.require(recipe(width=256, height=256), inspect(tiny_checkpoint))
    errors = refusal(room, recipe(width=256, height=256, hires={"scale": 4}), tiny_checkpoint)
    assert [error["field"] for error in errors] == ["hires_scale", "width", "height"]


EDIT = {"image": "0" * 64, "mask": "1" * 64, "only_masked": True}


def test_an_edit_of_a_part_counts_with_the_size_at_which_that_is_done(tiny_checkpoint: Path) -> None:
    room = Room()
    room.note({"memory": {"pictures": 24 * MIB}, "dtype": "float32"})
    room.require(recipe(width=2048, height=2048, edit=EDIT), inspect(tiny_checkpoint))  # at its own 128 x 128
    errors = refusal(room, recipe(edit=EDIT | {"work_width": 2048, "work_height": 1024}), tiny_checkpoint)
    assert [error["field"] for error in errors] == ["work_width", "work_height"]
    assert "2048 x 1024 needs about" in errors[0]["message"]
    refusal(room, recipe(width=2048, height=2048, edit=EDIT | {"mask": None}), tiny_checkpoint)


def test_the_size_that_is_named_fits_where_larger_ones_that_are_tiled_do_too() -> None:
    memory = 1024 * MIB
    refused = too_large(recipe(width=1024, height=1024), FIRST, memory, (512, 512))
    assert refused is not None
    side = int(refused.message.split("at most about ")[1].split(" ")[0])
    assert 512 <= side < 1024
    assert too_large(recipe(width=side, height=side), FIRST, memory, (512, 512)) is None
    assert too_large(recipe(width=1088, height=1088), FIRST, memory, (512, 512)) is None


def test_a_picture_whose_edges_tile_is_decoded_whole_and_needs_the_more() -> None:
    refused = too_large(recipe(width=1088, height=1088, tiling=True), FIRST, 1024 * MIB, (512, 512))
    assert refused is not None
    assert "at most about 704 x 704 fits" in refused.message


def test_an_enlarged_picture_fits_only_if_it_does_before_it_is() -> None:
    refused = too_large(recipe(width=1024, height=1024, hires={"scale": 1.1}), FIRST, 1024 * MIB, (512, 512))
    assert refused is not None
    assert refused.fields == ("width", "height")


def test_nothing_is_refused_before_an_engine_has_told_of_its_memory(tiny_checkpoint: Path) -> None:
    Room().require(recipe(width=2048, height=2048), inspect(tiny_checkpoint))


def test_the_engine_refuses_it_too_and_goes_on() -> None:
    large, small = Heard(width=512, height=512), Heard()
    finish(engine_of(FakeBundle(), memory=1000), large, small)
    assert isinstance(large.last, Failed)
    assert large.last.code == "out_of_memory"
    assert "512 x 512 needs about" in large.last.message
    assert small.pixels.shape == (1, 3, 64, 64)
