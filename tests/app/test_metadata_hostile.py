"""No file, however hostile, does harm to a reader of metadata: it says what is there, or nothing."""

from __future__ import annotations

import io
import json
import struct
import time
import zlib

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app.metadata.chunks import MAX_ALL, MAX_TEXT, SIGNATURE
from app.metadata.exif import MAX_VALUE, read_exif
from app.metadata.found import MAX_UNKNOWN
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


def test_many_texts_unpack_to_no_more_than_a_few() -> None:
    packed = zlib.compress(b"x" * 40_000_000, 9)
    chunks = [b"zTXt" + f"k{number}".encode() + b"\0\0" + packed for number in range(64)]
    reading = read(SIGNATURE + b"".join(len(c[4:]).to_bytes(4) + c + zlib.crc32(c).to_bytes(4) for c in chunks))
    assert reading is not None
    assert 1 <= sum(len(text) for text in reading.texts.values()) <= MAX_ALL


def test_a_comment_that_is_claimed_again_and_again_is_read_once() -> None:
    entries = [0x9286, 0x010E, 0x010F, *[0x0131] * 197]
    folder = b"".join(struct.pack(">HHII", tag, 7, 2**32 - 1, 0) for tag in entries)
    texts = read_exif(b"MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + folder + b"x" * 20_000_000)
    assert set(texts) == {"comment", "description", "make", "software"}
    assert all(len(text) <= MAX_VALUE for text in texts.values())


def test_of_what_is_unknown_only_so_much_is_kept_as_a_person_reads() -> None:
    many = {f"key {number}": number for number in range(10_000)}
    reading = read(file_with("parameters", json.dumps({"sui_image_params": {"steps": 20, **many}})))
    assert reading is not None
    assert reading.found is not None
    assert (reading.found.values, len(reading.found.unknown)) == ({"steps": 20}, MAX_UNKNOWN)


def test_a_graph_in_which_everything_samples_ends() -> None:
    nodes = {
        str(number): {"inputs": {"steps": 1, "sampler_name": "x", "latent_image": [str((number + 1) % 5000), 0]}}
        for number in range(5000)
    }
    began = time.process_time()
    assert read(file_with("prompt", json.dumps(nodes))) is not None
    assert time.process_time() - began < 10, "without a bound this takes minutes"


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


@example("workflow", [[[], 1, 1]])
@given(st.sampled_from(KEYWORDS), JSON)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_json_confuses_a_reader(keyword: str, value: object) -> None:
    graph = {
        "1": {"inputs": {"steps": 1, "sampler_name": "x", "positive": value, "model": value, "latent_image": value}}
    }
    for told in (value, {"image": value, "nodes": value, "links": value}, graph, {"sui_image_params": value}):
        reading = read(file_with(keyword, json.dumps(told)))
        assert reading is not None
        assert reading.kind == "png"


@pytest.mark.parametrize("depth", range(940, 1000, 3))
def test_no_depth_is_the_one_that_cannot_be_shown(depth: int) -> None:
    reading = read(file_with("Comment", f'{{"steps": 1, "x": {"[" * depth}{"]" * depth}}}'))
    assert reading is not None
