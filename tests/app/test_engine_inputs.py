"""The pictures that come with a recipe: decoded, checked, and refused by name."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import pytest
import torch
from PIL import Image

from app.engine.inputs import InputError, decode_inputs
from models.recipe import Recipe


def png_of(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def asked(png: bytes, **edit: Any) -> tuple[Recipe, dict[str, str]]:
    sha256 = hashlib.sha256(png).hexdigest()
    fields = {"prompt": "a lake", "seed": 1, "width": 64, "height": 64, "edit": {"image": sha256, **edit}}
    return Recipe.model_validate(fields), {sha256: base64.b64encode(png).decode()}


PNG = png_of(Image.new("RGB", (3, 2), (1, 2, 3)))


@pytest.mark.parametrize(
    ("image", "levels"),
    [
        (Image.new("RGB", (3, 2), (1, 2, 3)), (1, 2, 3)),
        (Image.new("RGBA", (3, 2), (1, 2, 3, 9)), (1, 2, 3, 9)),
        (Image.new("L", (3, 2), 7), (7,)),
        (Image.new("1", (3, 2), 1), (255,)),
        (Image.new("LA", (3, 2), (7, 9)), (7, 7, 7, 9)),
        (Image.new("I;16", (3, 2), 257 * 200), (200,)),
        (Image.new("P", (3, 2)), (0, 0, 0)),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_a_png_of_any_mode_becomes_levels(image: Image.Image, levels: tuple[int, ...]) -> None:
    recipe, given = asked(png_of(image))
    [picture] = decode_inputs(recipe, given).values()
    assert picture.dtype == torch.uint8
    assert picture.shape == (2, 3, len(levels))
    assert picture[1, 2].tolist() == list(levels)


def test_a_recipe_without_pictures_takes_none() -> None:
    recipe, _given = asked(PNG)
    assert decode_inputs(recipe.model_copy(update={"edit": None}), None) == {}


def test_an_absent_mask_is_named() -> None:
    recipe, given = asked(PNG, mask="f" * 64)
    with pytest.raises(InputError, match=r"f{64} is not among the inputs") as error:
        decode_inputs(recipe, given)
    assert error.value.field == "edit.mask"


@pytest.mark.parametrize("given", [None, [], "text"])
def test_inputs_must_be_an_object(given: object) -> None:
    recipe, _given = asked(PNG)
    with pytest.raises(InputError, match="must be an object"):
        decode_inputs(recipe, given)


def test_another_picture_under_the_same_name_is_refused() -> None:
    recipe, given = asked(PNG)
    other = base64.b64encode(png_of(Image.new("RGB", (3, 2)))).decode()
    with pytest.raises(InputError, match="has another SHA-256"):
        decode_inputs(recipe, dict.fromkeys(given, other))


@pytest.mark.parametrize("png", [b"", b"\x89PNG\r\n\x1a\n", PNG[:45], b"GIF89a" + bytes(30)])
def test_what_is_no_png_is_refused(png: bytes) -> None:
    recipe, given = asked(png)
    with pytest.raises(InputError, match="not a PNG that can be read") as error:
        decode_inputs(recipe, given)
    assert error.value.field == "edit.image"


def test_what_is_no_base64_is_refused() -> None:
    recipe, given = asked(PNG)
    with pytest.raises(InputError, match="not base64"):
        decode_inputs(recipe, dict.fromkeys(given, "§"))


def test_a_picture_beyond_the_limit_is_refused_before_it_is_decoded() -> None:
    recipe, given = asked(png_of(Image.new("1", (8192, 2049))))
    with pytest.raises(InputError, match=r"8192 x 2049 is more than 16,777,216 pixels"):
        decode_inputs(recipe, given)
