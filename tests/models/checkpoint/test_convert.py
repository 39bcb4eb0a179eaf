"""Pickles become safetensors files in a child process that can do nothing else."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from models.checkpoint.convert import convert, target_of
from models.checkpoint.facts import CheckpointError, inspect
from models.checkpoint.headers import missing
from models.checkpoint.unpickle import RefusedError, flat, read
from tests.models.checkpoint.conftest import family
from tests.reference.families import original


class Spiteful:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def test_a_pickle_of_2022_becomes_a_checkpoint(tmp_path: Path) -> None:
    file, state = tmp_path / "sd-v1-4.ckpt", original(family("sd1"))
    state["model.diffusion_model.out.2.bias"] = state["model.diffusion_model.out.0.bias"][::8]  # shares memory
    content = {"state_dict": OrderedDict(state), "epoch": 3, "callbacks": {}, "lr_schedulers": []}
    torch.save(content, file)

    made = convert(file)

    assert made == tmp_path / "sd-v1-4.safetensors"
    assert inspect(made).family == "Custom"  # so narrow is none of the known ones
    found = load_file(made)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sd-v1-4.ckpt", "sd-v1-4.safetensors"]
    assert made.stat().st_mode == file.stat().st_mode
    with pytest.raises(CheckpointError, match="exists already; use it, or write it anew with --replace"):
        convert(file)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("pytorch_model.bin", "model.safetensors"),
        ("pytorch_model.fp16.bin", "model.fp16.safetensors"),
        ("diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"),
        ("dreams.v2.ckpt", "dreams.v2.safetensors"),
    ],
)
def test_the_new_file_has_the_name_that_its_layout_wants(name: str, wanted: str) -> None:
    assert target_of(Path(name)).name == wanted


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    marker, file = tmp_path / "it-ran", tmp_path / "evil.ckpt"
    torch.save({"a": torch.zeros(1), "b": Spiteful(marker)}, file)
    with pytest.raises(CheckpointError) as refused:
        convert(file)
    assert str(refused.value).startswith(f"{file} cannot be converted: it holds more than weights (posix.system)")
    assert "give another copy, best a .safetensors file" in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["evil.ckpt"]


def test_code_in_an_old_pickle_is_not_run(tmp_path: Path) -> None:
    marker, file = tmp_path / "it-ran", tmp_path / "evil.ckpt"
    torch.save({"a": torch.zeros(1), "b": Spiteful(marker)}, file, _use_new_zipfile_serialization=False)
    with pytest.raises(RefusedError, match="holds more than weights"):
        read(file)
    assert not marker.exists()


def test_a_class_that_lightning_left_as_a_key_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "pytorch_lightning.callbacks.model_checkpoint"
    kind = type("ModelCheckpoint", (), {"__module__": name})
    for parent in ("pytorch_lightning", "pytorch_lightning.callbacks", name):
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    monkeypatch.setattr(sys.modules[name], "ModelCheckpoint", kind, raising=False)
    torch.save({"state_dict": {"a": torch.ones(2)}, "callbacks": {kind: {"best": 1}}}, tmp_path / "model.ckpt")
    monkeypatch.undo()
    assert [key for key, _ in flat(read(tmp_path / "model.ckpt"))] == ["a"]


@pytest.mark.parametrize("content", [pickle.dumps({"a": print}, protocol=2), b"PK\x03\x04" + b"\0" * 100, b"\x80\x02"])
def test_it_refuses_what_is_damaged(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "odd.ckpt"
    file.write_bytes(content)
    with pytest.raises(RefusedError) as refused:
        read(file)
    assert str(refused.value).startswith(str(file))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"GGUF" + b"\0" * 100, b""])
def test_it_refuses_what_is_no_pickle(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "odd.ckpt"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="is no pickle of torch, so there is nothing to convert; use it as it is"):
        convert(file)


def test_only_tensors_are_taken() -> None:
    weight = torch.ones(1)
    content = {"epoch": 3, "nested": {"weight": weight}, "a b": weight, 7: {"x": weight}, "list": [weight]}
    assert [key for key, _ in flat(content)] == ["nested.weight"]


DEEDS = (
    "import socket; socket.socket()",
    "import os; os.system('true')",
    "import subprocess; subprocess.run(['true'])",
    "open('never', 'w')",
    "import os; os.open('never', os.O_CREAT | os.O_WRONLY)",
)


def test_the_child_process_can_do_nothing_else(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from models.checkpoint import unpickle
os.chdir({str(tmp_path)!r})
unpickle.guard(Path('x'))
for deed in {DEEDS!r}:
    try:
        exec(deed)
    except unpickle.RefusedError:
        print('refused')
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["refused"] * len(DEEDS)
    assert list(tmp_path.iterdir()) == []


def test_the_child_process_has_limits() -> None:
    code = (
        "from models.checkpoint import unpickle; unpickle.limit_memory(10**9)\n"
        "import resource; print(resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(16 * 2**30 + 4 * 10**9), "0"]


def test_the_refusal_to_open_a_pickle_names_this_command(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"")
    assert f"python3 -m app checkpoints convert {tmp_path / 'model.bin'}" in missing(tmp_path / "model.safetensors")
