"""What a PNG says about itself, read back by Pillow, which did not write the chunks that we filter."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.metadata.a1111 import parameters
from app.metadata.png import encode_png, without_recipe
from app.metadata.read import read_recipe
from models.recipe import Recipe, Sampler
from tests.app.storing import recipe

RGB = bytes(range(256)) * 48
ENVIRONMENT = {"checkpoint": "embedded", "model_sha256": "0123456789abcdef", "version": "0.1.0", "torch": "2.13.0"}
SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def png(wanted: Recipe) -> bytes:
    return encode_png(RGB, 64, 64, wanted, ENVIRONMENT)


def info(content: bytes) -> dict[str, str]:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return {str(key): str(value) for key, value in image.info.items()}


def test_the_pixels_are_those_that_were_given() -> None:
    with Image.open(io.BytesIO(png(recipe()))) as image:
        assert image.tobytes() == RGB


def test_the_same_picture_gives_the_same_bytes() -> None:
    assert png(recipe()) == png(recipe())


def test_the_parameters_text_is_in_the_order_of_a1111() -> None:
    wanted = recipe(negative_prompt="fog", sampler="dpmpp_2m", guidance_scale=7)
    assert parameters(wanted, ENVIRONMENT) == (
        "a lake\nNegative prompt: fog\n"
        "Steps: 4, Sampler: DPM++ 2M, CFG scale: 7.0, Seed: 7, Size: 64x64, "
        "Model hash: 0123456789, Model: embedded, RNG: CPU, Version: Mezzotint 0.1.0"
    )


def test_a_value_with_a_comma_is_quoted_as_json() -> None:
    line = parameters(recipe(checkpoint="a, b: c"), {}).splitlines()[-1]
    assert 'Model: "a, b: c"' in line


def test_every_sampler_has_a_name_that_others_know() -> None:
    for sampler in Sampler:
        assert "Sampler: D" in parameters(recipe(sampler=sampler), {}) or sampler.value[0] in "eh"


def test_it_is_marked_as_synthetic() -> None:
    assert SYNTHETIC in info(png(recipe()))["XML:com.adobe.xmp"]


@given(
    st.text(min_size=1).filter(lambda text: text.strip()),
    st.text(),
    st.sampled_from(Sampler),
    st.integers(0, 2**53 - 1),
)
def test_the_recipe_comes_back_whatever_the_prompt_is(prompt: str, negative: str, sampler: Sampler, seed: int) -> None:
    wanted = recipe(seed, prompt=prompt, negative_prompt=negative, sampler=sampler)
    assert read_recipe(png(wanted)) == wanted


@pytest.mark.parametrize("content", [b"", b"no png", png(recipe())[:300], without_recipe(png(recipe()))])
def test_there_is_no_recipe_in_what_is_not_ours(content: bytes) -> None:
    assert read_recipe(content) is None


def test_a_copy_without_its_recipe_keeps_pixels_and_mark_only() -> None:
    plain = without_recipe(png(recipe(prompt="a secret place")))
    assert b"secret" not in plain
    assert set(info(plain)) <= {"XML:com.adobe.xmp", "xmp"}
    assert SYNTHETIC in info(plain)["XML:com.adobe.xmp"]
    with Image.open(io.BytesIO(plain)) as image:
        assert image.tobytes() == RGB


def test_a_truncated_png_is_refused_when_its_recipe_is_to_be_removed() -> None:
    with pytest.raises(ValueError, match="incomplete"):
        without_recipe(png(recipe())[:-20])
