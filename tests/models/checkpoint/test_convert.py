"""Pickles become safetensors files in a child process that can do nothing else."""

from __future__ import annotations

import os
import pickle
import shlex
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.checkpoint import convert as convert_module
from models.checkpoint.convert import convert, target_of
from models.checkpoint.facts import CheckpointError, inspect
from models.checkpoint.headers import missing, pickled
from models.checkpoint.leftovers import clear, workplace
from models.checkpoint.unpickle import MAX_DEPTH, RefusedError, check_archive, check_tensors, flat, read
from tests.models.checkpoint.conftest import family
from tests.reference.families import original

LINUX = sys.platform == "linux"


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


def test_an_archive_that_unpacks_to_much_more_than_it_is_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("archive/data.pkl", "archive/data/0"):
            archive.writestr(name, bytes(2**20))
    with pytest.raises(RefusedError, match=r"would unpack to 2,097,152 bytes, .* give another copy"):
        check_archive(file, file.stat().st_size)


def test_tensors_that_are_larger_than_their_file_are_not_written(tmp_path: Path) -> None:
    file = tmp_path / "wide.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(1).expand(10**6, 10**6)}}, file)
    with pytest.raises(RefusedError, match=r"would take 4,000,000,000,000 bytes, which are not in it"):
        check_tensors(dict(flat(read(file))), file, file.stat().st_size)


def test_containers_that_hold_each_other_many_times_are_not_walked_to_their_end() -> None:
    content: dict[str, Any] = {f"n{index}": index for index in range(1000)}
    for _ in range(MAX_DEPTH):
        content = dict.fromkeys((f"n{index}" for index in range(1000)), content)  # a thousand to the fifth
    with pytest.raises(RefusedError, match="holds more than 100,000 entries"):
        dict(flat(content))


class Greedy:
    """Asks for a hundred gigabytes, by means that `weights_only` allows."""

    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (100 * 2**30,)


def test_what_asks_for_too_much_memory_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "greedy.ckpt"
    torch.save({"a": torch.zeros(1), "b": Greedy()}, file)
    with pytest.raises(CheckpointError) as refused:
        convert(file)
    assert str(refused.value).startswith(f"{file} cannot be converted: it asks for more memory than")
    assert [path.name for path in tmp_path.iterdir()] == ["greedy.ckpt"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks on folders")
def test_what_a_killed_conversion_left_is_cleared_away_and_what_one_works_on_is_not(tmp_path: Path) -> None:
    foreign = tmp_path / ".notes.part"
    foreign.mkdir()
    code = f"""
import sys
from pathlib import Path
from models.checkpoint.leftovers import workplace
with workplace(Path({str(tmp_path / "dreams.safetensors")!r})) as place:
    (place.folder / "half").touch()
    print(place.folder, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        half = Path(writer.stdout.readline().strip()) / "half"
        clear([tmp_path / "any.ckpt"])
        assert half.exists()
        writer.kill()
    assert half.exists()
    with workplace(tmp_path / "other.safetensors") as ours:
        assert {*tmp_path.iterdir()} == {foreign, ours.folder}
    assert [*tmp_path.iterdir()] == [foreign]


def test_what_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.checkpoint.convert.SECONDS", 0)
    file = tmp_path / "slow.ckpt"
    torch.save({"a": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match=r"slow\.ckpt was not converted within 0 seconds; give another copy"):
        convert(file)
    assert [path.name for path in tmp_path.iterdir()] == ["slow.ckpt"]


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
    "import os; os.remove('x')",
    "import os; os.mkdir('never')",
    "import os; os.rename('x', 'never')",
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
        "from resource import RLIMIT_AS, RLIMIT_CORE, getrlimit\n"
        "print(getrlimit(RLIMIT_AS)[0], getrlimit(RLIMIT_CORE)[0])\n"
        "unpickle.limit_own_memory(2**28); half = bytearray(2**27)\n"
        "try: bytearray(2**28)\n"
        "except MemoryError: print('no more')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(16 * 2**30 + 4 * 10**9), "0", *(["no", "more"] if LINUX else [])]


def test_the_refusal_to_open_a_pickle_names_this_command(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"")
    assert f"python3 -m app checkpoints convert {tmp_path / 'model.bin'}" in missing(tmp_path / "model.safetensors")


def test_the_command_is_what_a_shell_understands() -> None:
    command = pickled(Path("/my models/it's (1).ckpt")).partition("convert it: ")[2]
    assert shlex.split(command)[-1] == "/my models/it's (1).ckpt"


def test_a_pickle_that_calls_itself_safetensors_gives_up_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, old = tmp_path / "dreams.safetensors", tmp_path / "dreams.ckpt"
    torch.save({"a": torch.zeros(1)}, file)
    content = file.read_bytes()
    assert read(file).keys() == {"a"}
    monkeypatch.setattr(convert_module, "_run", lambda _file, part, _held: save_file({"a": torch.zeros(1)}, part))
    old.write_bytes(b"another")
    with pytest.raises(CheckpointError, match=r"cannot be called dreams.ckpt, since there is one; move one of them"):
        convert(file)
    assert (file.read_bytes(), old.read_bytes()) == (content, b"another")
    old.unlink()
    assert convert(file) == file
    assert load_file(file).keys() == {"a"}
    assert old.read_bytes() == content
