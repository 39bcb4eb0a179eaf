"""No file, however hostile, does harm to a reader of metadata: it says what is there, or nothing."""

from __future__ import annotations

import io
import json
import time
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app.metadata.chunks import MAX_TEXT, SIGNATURE
from app.metadata.png import encode_png
from app.metadata.read import read
from app.metadata.write import convert
from models.recipe import Recipe
from tests.app.storing import recipe

RGB = bytes(64 * 64 * 3)
NAMES = ("steps", "seed", "positive", "latent_image", "width", "3", "image", "prompt")
KEYWORDS = ("prompt", "workflow", "invokeai_metadata", "sd-metadata", "Comment", "parameters", "mezzotint")


def file_with(keyword: str, text: str) -> bytes:
    info, png = PngInfo(), io.BytesIO()
    info.add_text(keyword, text)
    Image.new("RGB", (8, 8)).save(png, "PNG", pnginfo=info)
    return png.getvalue()


@pytest.mark.parametrize("text", ["", "a lake", "Steps: 20", "a lake\nSteps: many, Foo: 1, Bar: 2", "{", "[" * 5000])
def test_what_holds_no_settings_is_no_metadata(text: str) -> None:
    reading = read(file_with("parameters", text))
    assert reading is not None
    assert reading.found is None or "steps" not in reading.found.values


def test_a_text_that_unpacks_without_end_is_cut_off() -> None:
    bomb = b"parameters\0\0" + zlib.compress(b"x" * 40_000_000, 9)
    chunk = len(bomb).to_bytes(4) + b"zTXt" + bomb + zlib.crc32(b"zTXt" + bomb).to_bytes(4)
    began = time.monotonic()
    reading = read(SIGNATURE + chunk)
    assert reading is not None
    assert len(reading.text) <= MAX_TEXT
    assert time.monotonic() - began < 5


PNG = encode_png(RGB, 64, 64, recipe(), {"version": "0"})
WHOLE = {"png": PNG, "jpeg": convert(PNG, "jpeg"), "webp": convert(PNG, "webp")}


@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 4000), st.binary(max_size=12), st.integers(0, 5000))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_file_is_read_as_far_as_it_goes(kind: str, at: int, bytes_: bytes, length: int) -> None:
    content = WHOLE[kind]
    at %= len(content)
    for damaged in (content[:at] + bytes_ + content[at + len(bytes_) :], content[: length % len(content)], bytes_):
        reading = read(damaged)
        assert reading is None or isinstance(reading.recipe, Recipe | None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=8,
)


@given(
    st.sampled_from(["prompt", "workflow", "invokeai_metadata", "sd-metadata", "Comment", "parameters", "mezzotint"]),
    JSON,
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_json_confuses_a_reader(keyword: str, value: object) -> None:
    graph = {
        "1": {"inputs": {"steps": 1, "sampler_name": "x", "positive": value, "model": value, "latent_image": value}}
    }
    for told in (value, {"image": value, "nodes": value, "links": value}, graph, {"sui_image_params": value}):
        reading = read(file_with(keyword, json.dumps(told)))
        assert reading is not None
        assert reading.kind == "png"
