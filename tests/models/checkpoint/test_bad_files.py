"""Files that are cut off, damaged, hostile or something else: one sentence that names the file and the remedy."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.checkpoint import weights
from models.checkpoint.facts import CheckpointError, inspect
from models.checkpoint.headers import MAX_HEADER, MAX_TENSORS, fingerprint
from models.checkpoint.loading import load
from tests.models.checkpoint.conftest import Written, family, save_header
from tests.reference.families import original
from tests.reference.oracle import make_unet, make_vae

STRETCH = b"x" * 3 * 2**20
REMEDIES = (
    "copy or download it again",
    "take another",
    "take a file with",
    "use one",
    "give the checkpoint",
    "give a whole",
    "give one of",
    "give its folder",
    "convert it",
)
UNET, VAE = "model.diffusion_model.", "first_stage_model."


@pytest.fixture(scope="module")
def good() -> dict[str, Tensor]:
    return original(family("sd1"))


def refusal(path: Path, look: Callable[[Path], object] = inspect) -> str:
    """The sentence with which a checkpoint is refused."""
    with pytest.raises(CheckpointError) as refused:
        look(path)
    message = str(refused.value)
    assert str(path.name) in message
    assert any(remedy in message for remedy in REMEDIES)
    assert "\n" not in message
    return message


def write_header(file: Path, entries: Mapping[str, Any], data: bytes = b"") -> Path:
    header = json.dumps(entries).encode()
    file.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return file


@pytest.mark.parametrize("tenth", range(10))
def test_it_refuses_a_file_that_is_cut_off_at_any_tenth(tmp_path: Path, good: dict[str, Tensor], tenth: int) -> None:
    file = tmp_path / "cut.safetensors"
    save_header(good, file)
    os.truncate(file, file.stat().st_size * tenth // 10)
    assert refusal(file) == refusal(file, load)


def test_it_refuses_bytes_after_the_last_tensor(tmp_path: Path, written: Written) -> None:
    file = Path(shutil.copy(written(family("sd1"), "file"), tmp_path / "long.safetensors"))
    with file.open("ab") as stream:
        stream.write(b"more")
    assert "truncated or damaged" in refusal(file)


def test_it_does_not_read_two_gigabytes_of_header(tmp_path: Path) -> None:
    file = tmp_path / "huge.safetensors"
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", 2 * 2**30) + b'{"a":')
        stream.truncate(2**31 + 2**20)
    assert "has a header of 2,147,483,648 bytes" in refusal(file)


def test_it_refuses_more_tensors_than_any_checkpoint_has(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    file = write_header(tmp_path / "many.safetensors", {f"t{index}": entry for index in range(MAX_TENSORS + 1)})
    assert file.stat().st_size < MAX_HEADER
    assert "holds 20,001 tensors" in refusal(file)


@pytest.mark.parametrize("name", ["a__b", "../up", "a b", "é", "x" * 257, ""])
def test_it_refuses_names_that_no_network_has(tmp_path: Path, name: str) -> None:
    file = write_header(tmp_path / "odd.safetensors", {name: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}})
    assert "has a tensor of the name" in refusal(file)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},  # half of it
        {"dtype": "F32", "shape": [10**18, 10**18], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]},
        {"dtype": "F32", "shape": [1.5], "data_offsets": [0, 6]},
        {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1] * 8 + [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [1]},
        [],
        None,
    ],
)
def test_it_refuses_a_tensor_that_does_not_lie_where_it_says(tmp_path: Path, entry: Any) -> None:
    file = write_header(tmp_path / "odd.safetensors", {"a": entry}, data=b"\0" * 8)
    assert "damaged" in refusal(file)


@pytest.mark.parametrize("begin", [4, 12])
def test_it_refuses_tensors_that_overlap_or_leave_a_gap(tmp_path: Path, begin: int) -> None:
    entries = {
        "late": {"dtype": "F32", "shape": [2], "data_offsets": [begin, begin + 8]},
        "empty": {"dtype": "F32", "shape": [0], "data_offsets": [8, 8]},
        "early": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    }
    file = write_header(tmp_path / "odd.safetensors", entries, data=b"\0" * (begin + 8))
    assert "damaged header" in refusal(file)


@pytest.mark.parametrize("header", [b"{", b"[]", b"{" * 5000, b'{"a": NaN', b"{\xff}"])
def test_it_refuses_a_header_that_is_no_object(tmp_path: Path, header: bytes) -> None:
    file = tmp_path / "odd.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header)
    refusal(file)


def test_it_never_opens_a_pickle_whatever_its_name(tmp_path: Path) -> None:
    zipped, bare, old = (tmp_path / f"{name}.safetensors" for name in ("zipped", "bare", "old"))
    torch.save({"state_dict": {"a": torch.zeros(1)}}, zipped)
    torch.save({"a": torch.zeros(1)}, old, _use_new_zipfile_serialization=False)
    bare.write_bytes(pickle.dumps({"a": print}))
    for file in (zipped, bare, old):
        assert f"python3 -m app checkpoints convert {file}" in refusal(file)
        assert refusal(file, load) == refusal(file)


OTHERS: dict[str, tuple[str, Callable[[], dict[str, Tensor]]]] = {
    "a LoRA of kohya": (
        "is a LoRA",
        lambda: {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": torch.zeros(4, 4)},
    ),
    "a LoRA of diffusers": ("is a LoRA", lambda: {"unet.down_blocks.0.to_q.lora_A.weight": torch.zeros(4, 4)}),
    "a VAE in the folder's form": ("is a VAE alone", lambda: dict(make_vae().state_dict())),
    "a VAE in the original form": ("is a VAE alone", lambda: {"encoder.mid.block_1.conv1.weight": torch.zeros(1)}),
    "a U-Net": ("is a U-Net alone", lambda: dict(make_unet(attention_head_dim=4).state_dict())),
    "a text encoder": ("is a text encoder alone", lambda: {"text_model.encoder.layers.0.mlp.fc1.bias": torch.zeros(1)}),
    "Stable Diffusion XL": ("Stable Diffusion XL", lambda: {"conditioner.embedders.0.a": torch.zeros(1)}),
    "a ControlNet": ("is a ControlNet", lambda: {"control_model.input_blocks.0.0.weight": torch.zeros(1)}),
    "a textual inversion": ("is a textual inversion", lambda: {"emb_params": torch.zeros(2, 768)}),
    "something else": ("is no checkpoint of Stable Diffusion (it holds a.b...)", lambda: {"a.b": torch.zeros(1)}),
    "nothing": ("(it is empty)", dict),
}


@pytest.mark.parametrize("name", OTHERS)
def test_it_says_what_a_file_is_that_is_no_checkpoint(tmp_path: Path, name: str) -> None:
    wanted, make = OTHERS[name]
    save_file(make(), tmp_path / "given.safetensors")
    assert wanted in refusal(tmp_path / "given.safetensors")


def test_it_tells_a_note_of_git_from_the_file_itself(tmp_path: Path) -> None:
    file = tmp_path / "dreams.safetensors"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4265146304\n")
    with pytest.raises(CheckpointError, match=r"dreams.safetensors is not the file itself .* git lfs pull$"):
        inspect(file)


@pytest.mark.parametrize("channels", [5, 7, 8])
def test_it_refuses_networks_that_ask_for_more_than_text_and_a_mask(
    tmp_path: Path, good: dict[str, Tensor], channels: int
) -> None:
    file = tmp_path / "other.safetensors"
    save_header(good | {f"{UNET}input_blocks.0.0.weight": torch.zeros(32, channels, 3, 3)}, file)
    assert f"the U-Net gives {channels} in_channels; for text they are 4, for inpainting 9" in refusal(file)


def test_a_link_that_leads_nowhere_or_to_itself_is_not_taken_for_a_folder(tmp_path: Path) -> None:
    gone, loop = tmp_path / "gone.safetensors", tmp_path / "loop.safetensors"
    gone.symlink_to(tmp_path / "nothing")
    loop.symlink_to(loop)
    for file, problem in ((gone, "is not there; put it back"), (loop, "cannot be read"), (gone / "x", "is not there")):
        for look in (inspect, load):
            with pytest.raises(CheckpointError, match=f"{file} {problem}"):
                look(file)


def test_it_points_from_a_part_to_its_folder(written: Written) -> None:
    folder = written(family("sd1"), "folder")
    assert f"give its folder, {folder}" in refusal(folder / "unet/diffusion_pytorch_model.safetensors")


@pytest.mark.parametrize(("prefix", "name"), [(UNET, "U-Net"), (VAE, "VAE"), ("cond_stage_model.", "text encoder")])
def test_it_names_the_network_that_a_file_lacks(
    tmp_path: Path, good: dict[str, Tensor], prefix: str, name: str
) -> None:
    file = tmp_path / "part.safetensors"
    save_header({key: tensor for key, tensor in good.items() if not key.startswith(prefix)}, file)
    assert f"lacks the {name}; take a file with all three networks" in refusal(file)


def without(key: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {name: tensor for name, tensor in state.items() if name != key}


def given(key: str, tensor: Tensor) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: state | {key: tensor}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (without(f"{UNET}out.2.bias"), "lacks conv_out.bias"),
        (without(f"{VAE}decoder.mid.attn_1.q.weight"), "lacks decoder.mid_block.attentions.0.to_q.weight"),
        (given(f"{UNET}out.2.bias", torch.zeros(7)), f"{UNET}out.2.bias is (7,) and not (4,)"),
        (given(f"{UNET}out.9.bias", torch.zeros(4)), f"has unknown {UNET}out.9.bias"),
        (given(f"{UNET}out.2.bias", torch.zeros(4, dtype=torch.int32)), f"{UNET}out.2.bias in I32"),
        (given("cond_stage_model.transformer.final_layer_norm.bias", torch.zeros(64)), "are the same tensor"),
    ],
    ids=["lacking", "lacking in the VAE", "misshapen", "unknown", "whole numbers", "twice"],
)
def test_it_names_the_tensor_that_is_wrong_before_anything_is_loaded(
    tmp_path: Path, good: dict[str, Tensor], change: Callable[[dict[str, Tensor]], dict[str, Tensor]], problem: str
) -> None:
    file = tmp_path / "wrong.safetensors"
    save_header(change(good), file)
    assert problem in refusal(file)
    assert refusal(file, load) == refusal(file)


@pytest.mark.parametrize(
    ("key", "tensor"),
    [
        (f"{UNET}out.2.bias", torch.tensor([0, torch.nan, 0, 0])),
        (f"{VAE}quant_conv.bias", torch.full((8,), torch.inf)),
        (f"{VAE}quant_conv.bias", torch.tensor([torch.inf, -torch.inf] * 4)),
    ],
    ids=["no number", "infinite", "infinite both ways"],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_it_names_the_tensor_with_values_that_are_no_numbers(
    tmp_path: Path, good: dict[str, Tensor], key: str, tensor: Tensor, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_threads", lambda: threads)
    file = tmp_path / "wrong.safetensors"
    save_file(good | {key: tensor}, file)
    assert f"not all values of {key} are finite" in refusal(file, load)
    assert inspect(file).layout == "file"  # its header is sound, and values are read only when it is loaded


@pytest.mark.parametrize("key", [f"{UNET}input_blocks.0.0.weight", f"{UNET}middle_block.1.proj_in.weight"])
def test_it_names_the_tensor_without_which_nothing_can_be_told(
    tmp_path: Path, good: dict[str, Tensor], key: str
) -> None:
    save_header(without(key)(good), tmp_path / "wrong.safetensors")
    assert f"lacks {key}" in refusal(tmp_path / "wrong.safetensors")


def test_it_proposes_a_wider_number_format_for_weights_that_are_too_large(
    tmp_path: Path, good: dict[str, Tensor]
) -> None:
    file = tmp_path / "large.safetensors"
    save_file(good | {f"{VAE}quant_conv.bias": torch.full((8,), 1e6)}, file)
    assert load(file).dtype is torch.float32
    with pytest.raises(CheckpointError, match="in float16; choose --dtype bfloat16 or float32"):
        load(file, dtype=torch.float16)


def test_weights_of_which_only_the_sum_is_too_large_are_taken(tmp_path: Path, good: dict[str, Tensor]) -> None:
    file = tmp_path / "large.safetensors"
    save_file(good | {f"{VAE}quant_conv.bias": torch.full((8,), 3e38)}, file)
    assert load(file).vae.quant_conv is not None


def test_a_fingerprint_tells_files_apart_that_differ_in_their_middle_or_length(tmp_path: Path) -> None:
    size = 130 * 2**20
    prints = set()
    for place, change in ((0, b""), (0, b"x"), (size // 2, STRETCH), (size - 1, b"x")):
        file = tmp_path / "weights"
        with file.open("wb") as stream:
            stream.truncate(size)
            stream.seek(place)
            stream.write(change)
        prints.add(fingerprint(file))
    with file.open("ab") as stream:
        stream.write(b"x")
    assert len(prints | {fingerprint(file)}) == 5
