"""Files of other programs are read, ours are read by others, and no file, however hostile, does harm."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sd_parsers import ParserManager

from app.metadata import a1111
from app.metadata.exif import read_exif, user_comment
from app.metadata.found import Found
from app.metadata.png import encode_png
from app.metadata.read import Reading, read
from app.metadata.write import Kind, convert
from models.recipe import Sampler, Scheduler
from tests.app.storing import recipe

RGB = bytes(64 * 64 * 3)
ENVIRONMENT = {"checkpoint": "embedded", "model_sha256": "0123456789abcdef", "version": "0.1.0"}
KSAMPLER = {
    "seed": 42,
    "steps": 25,
    "cfg": 6.5,
    "sampler_name": "dpmpp_2m",
    "scheduler": "karras",
    "denoise": 1.0,
    "model": ["10", 0],
    "positive": ["6", 0],
    "negative": ["7", 0],
    "latent_image": ["5", 0],
}
GRAPH = {
    "3": {"class_type": "KSampler", "inputs": KSAMPLER},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dreams.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["8", 0], "clip": ["10", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "fog", "clip": ["10", 1]}},
    "8": {"class_type": "StringLiteral", "inputs": {"string": "a lake"}},
    "10": {
        "class_type": "LoraLoader",
        "inputs": {"lora_name": "ink.safetensors", "strength_model": 0.8, "model": ["4", 0], "clip": ["4", 1]},
    },
}
INVOKE = {
    "positive_prompt": "a lake",
    "negative_prompt": "fog",
    "seed": 42,
    "steps": 25,
    "cfg_scale": 6.5,
    "width": 512,
    "height": 768,
    "scheduler": "dpmpp_2m_k",
    "clip_skip": 1,
    "model": {"name": "dreams", "hash": "blake3:1"},
    "seamless_x": True,
}
NOVELAI = {
    "steps": 25,
    "height": 768,
    "width": 512,
    "scale": 6.5,
    "seed": 42,
    "sampler": "k_dpmpp_2m",
    "noise_schedule": "karras",
    "uc": "fog",
    "sm_dyn": True,
}
FOOOCUS = {
    "prompt": "a lake",
    "negative_prompt": "fog",
    "steps": 25,
    "guidance_scale": 6.5,
    "resolution": "(512, 768)",
    "base_model": "dreams",
    "base_model_hash": "0123456789",
    "sampler": "dpmpp_2m",
    "scheduler": "karras",
    "seed": "42",
    "sharpness": 2.0,
    "metadata_scheme": "fooocus",
}
SWARM = {
    "sui_image_params": {
        "prompt": "a lake",
        "negativeprompt": "fog",
        "seed": 42,
        "steps": 25,
        "cfgscale": 6.5,
        "width": 512,
        "height": 768,
        "sampler": "dpmpp_2m",
        "scheduler": "karras",
        "model": "dreams",
        "freeunetblocks": 3,
        "swarm_version": "0.9",
    }
}
A1111 = (
    "a lake\nwith boats\nNegative prompt: fog,\nrain\nSteps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG "
    "scale: 6.5, Seed: 42, Size: 512x768, Model hash: 0123456789, Model: dreams, Clip skip: 2, "
    'Lora hashes: "ink: 12, pen: 34", ADetailer model: face.pt, Version: v1.10.1'
)
COMMON = {"negative_prompt": "fog", "steps": 25, "guidance_scale": 6.5, "seed": 42, "width": 512, "height": 768}
SAMPLED = {"sampler": "dpmpp_2m", "scheduler": "karras"}
OTHERS = {
    "SwarmUI": ({"parameters": json.dumps(SWARM)}, COMMON | SAMPLED | {"checkpoint": "dreams"}, "freeunetblocks"),
    "ComfyUI": (
        {"prompt": json.dumps(GRAPH)},
        COMMON | SAMPLED | {"checkpoint": "dreams.safetensors", "loras": "ink.safetensors (0.8)"},
        None,
    ),
    "InvokeAI": (
        {"invokeai_metadata": json.dumps(INVOKE)},
        COMMON | {"sampler": "dpmpp_2m_k", "checkpoint": "dreams", "clip_skip": 2},
        "seamless_x",
    ),
    "NovelAI": (
        {"Description": "a lake", "Software": "NovelAI", "Comment": json.dumps(NOVELAI)},
        COMMON | SAMPLED | {"sampler": "k_dpmpp_2m"},
        "sm_dyn",
    ),
    "Fooocus": (
        {"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"},
        COMMON | SAMPLED | {"checkpoint": "dreams", "checkpoint_hash": "0123456789"},
        "sharpness",
    ),
}


def file_with(texts: dict[str, str]) -> bytes:
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text, zip=len(text) > 500)
    png = io.BytesIO()
    Image.new("RGB", (8, 8)).save(png, "PNG", pnginfo=info)
    return png.getvalue()


def reading_of(content: bytes) -> Reading:
    reading = read(content)
    assert reading is not None
    return reading


def found_in(content: bytes) -> Found:
    found = reading_of(content).found
    assert found is not None
    return found


@pytest.mark.parametrize("program", OTHERS)
def test_it_reads_what_others_wrote(program: str) -> None:
    texts, values, unknown = OTHERS[program]
    found = found_in(file_with(texts))
    assert found.program == program
    assert found.values == {"prompt": "a lake", **values}
    assert unknown is None or list(found.unknown) == [unknown]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_it_reads_a1111s_text_in_every_kind_of_file(kind: str) -> None:
    out = io.BytesIO()
    exif = b"Exif\0\0" + user_comment(A1111)
    if kind == "PNG":
        out.write(file_with({"parameters": A1111}))
    else:
        Image.new("RGB", (40, 24)).save(out, kind, exif=exif)
    found = found_in(out.getvalue())
    assert found.program == "AUTOMATIC1111"
    assert found.values == {
        **COMMON,
        "prompt": "a lake\nwith boats",
        "negative_prompt": "fog,\nrain",
        "sampler": "DPM++ 2M",
        "scheduler": "Karras",
        "checkpoint": "dreams",
        "checkpoint_hash": "0123456789",
        "clip_skip": 2,
        "loras": "ink: 12, pen: 34",
    }
    assert found.unknown == {"ADetailer model": "face.pt"}


@pytest.mark.parametrize("order", ["big", "little"])
def test_a_user_comment_is_read_in_either_byte_order(order: str) -> None:
    block = bytearray(user_comment("猫 and a lake, Steps"))
    if order == "little":
        text = "猫 and a lake, Steps".encode("utf-16-le")
        block[-len(text) :] = text
    assert read_exif(bytes(block))["comment"] == "猫 and a lake, Steps"


KINDS = ("png", "jpeg", "webp")
LIKE_PARAMETERS = st.sampled_from(
    [
        "Steps: 1, Sampler: DDIM, CFG scale: 2, Seed: 3",
        "a lake\nNegative prompt: no\nSteps: 9, Sampler: x, Seed: 8, CFG scale: 1",
        "Negative prompt: fog",
        'quotes "and, commas: here"\n\n',
        "<lora:ink:1> &quot; <!-- ]]> \ufffe \x0b",
        '{"sui_image_params": {}}',
    ]
)
PROMPTS = st.one_of(st.text(min_size=1), LIKE_PARAMETERS).filter(lambda text: text.strip())


@given(
    PROMPTS, st.one_of(st.text(), LIKE_PARAMETERS), st.sampled_from(Scheduler), st.sampled_from(["png", "jpeg", "webp"])
)
@settings(max_examples=60, deadline=None)
def test_a_recipe_comes_back_from_every_kind_of_file(
    prompt: str, negative: str, scheduler: Scheduler, kind: Kind | str
) -> None:
    wanted = recipe(prompt=prompt, negative_prompt=negative, scheduler=scheduler, clip_skip=2, tiling=True)
    png = encode_png(RGB, 64, 64, wanted, ENVIRONMENT)
    content = png if kind == "png" else convert(png, kind)  # type: ignore[arg-type]
    reading = reading_of(content)
    assert reading.recipe == wanted
    assert reading.source_type == "trainedAlgorithmicMedia"
    assert (reading.width, reading.height) == (64, 64)


@given(st.text(st.characters(exclude_characters="\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), min_size=1))
@settings(max_examples=60, deadline=None)
def test_the_text_alone_brings_a_prompt_of_one_line_back(prompt: str) -> None:
    wanted = recipe(prompt=f"a {prompt.strip()} b", sampler=Sampler.EULER_ANCESTRAL, scheduler=Scheduler.KARRAS)
    found = a1111.read(a1111.parameters(wanted, ENVIRONMENT))
    assert found is not None
    assert found.values["prompt"] == wanted.prompt
    assert found.values["seed"] == wanted.seed
    assert (found.values["sampler"], found.values["scheduler"]) == ("Euler a", "Karras")
    assert found.unknown == {}


@pytest.mark.parametrize("kind", KINDS)
def test_sd_parsers_reads_our_files(kind: Kind | str) -> None:
    wanted = recipe(prompt="a lake, at night", negative_prompt="fog", sampler="dpmpp_2m", scheduler="karras")
    png = encode_png(RGB, 64, 64, wanted, ENVIRONMENT)
    content = png if kind == "png" else convert(png, kind)  # type: ignore[arg-type]
    parsed = ParserManager().parse(Image.open(io.BytesIO(content)))
    assert parsed is not None
    (sampler,) = parsed.samplers
    assert (sampler.name, sampler.parameters["scheduler"]) == ("DPM++ 2M", "Karras")
    assert sampler.parameters["seed"] == "7"
    assert [prompt.value for prompt in parsed.prompts] == ["a lake, at night"]
    assert [prompt.value for prompt in parsed.negative_prompts] == ["fog"]
    assert {model.name for model in parsed.models} == {"embedded"}


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_without_its_recipe_a_file_keeps_its_mark_only(kind: Kind) -> None:
    content = convert(encode_png(RGB, 64, 64, recipe(prompt="a secret"), ENVIRONMENT), kind, with_recipe=False)
    assert b"secret" not in content
    assert "secret".encode("utf-16-be") not in content
    reading = reading_of(content)
    assert (reading.recipe, reading.found, reading.text) == (None, None, "")
    assert reading.source_type == "trainedAlgorithmicMedia"


def test_what_does_not_fit_into_a_jpeg_is_left_out_and_the_rest_stays() -> None:
    wanted = recipe(prompt="猫" * 8000, negative_prompt="犬" * 8000)
    reading = reading_of(convert(encode_png(RGB, 64, 64, wanted, ENVIRONMENT), "jpeg"))
    assert reading.recipe is None
    assert reading.found is not None
    assert reading.found.values["prompt"] == wanted.prompt
    assert reading.source_type == "trainedAlgorithmicMedia"
