"""Turn a pickle of weights into a safetensors file beside it, in a child process (`unpickle.py`). Imports no torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import models
from models.checkpoint.headers import CheckpointError, is_pickle, read_header
from models.checkpoint.leftovers import workplace

SECONDS = 300  # for the start of torch on a very busy machine
BYTES_A_SECOND = 5_000_000  # of a slow disk, that is read and written
NEW_STEMS = {"pytorch_model": "model"}  # what transformers calls the same weights in the other format


def convert(file: Path, *, replace: bool = False) -> Path:
    """Return the safetensors file that now holds the tensors of `file`, which is left as it is.

    One that calls itself safetensors gives up that name and is called .ckpt from then on. Raises `CheckpointError` if
    there is a target already and `replace` is not set, and for a file that is no pickle, or that holds anything but
    tensors.
    """
    target = target_of(file)
    if target.exists() and not replace and target != file:
        raise CheckpointError(f"{target} exists already; use it, or write it anew with --replace")
    _check(file)
    renamed = file.with_suffix(".ckpt")
    if target == file and renamed.exists():
        raise CheckpointError(f"{file} cannot be called {renamed.name}, since there is one; move one of them away")
    try:
        with workplace(target) as place:
            part = place.folder / target.name
            _run(file, part, place.descriptors)
            read_header(part)
            shutil.copymode(file, part)
            if target == file:
                file.rename(renamed)
            part.replace(target)
    except OSError as error:
        why = f"{target} cannot be written ({error.strerror})"
        raise CheckpointError(f"{why}; see to its folder or its disk") from error
    return target


def target_of(file: Path) -> Path:
    """Where the converted weights go: the same name, but as each layout has it."""
    stem, dot, variant = file.stem.partition(".")
    return file.with_name(f"{NEW_STEMS.get(stem, stem)}{dot}{variant}.safetensors")


def _check(file: Path) -> None:
    try:
        with file.open("rb") as stream:
            start = stream.read(16)
    except OSError as error:
        why = f"{file} cannot be read ({error.strerror})"
        raise CheckpointError(f"{why}; give the path of a .ckpt, .bin or .pt file") from error
    if not is_pickle(start):
        raise CheckpointError(f"{file} is no pickle of torch, so there is nothing to convert; use it as it is")


def _run(file: Path, part: Path, descriptors: Sequence[int]) -> None:
    seconds = SECONDS + file.stat().st_size // BYTES_A_SECOND
    root = Path(next(iter(models.__path__))).resolve().parent
    command = [sys.executable, "-m", "models.checkpoint.unpickle", str(file.resolve()), str(part.resolve())]
    try:
        child = subprocess.run(
            command,
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            pass_fds=tuple(descriptors),
        )
    except subprocess.TimeoutExpired:
        why = f"{file} was not converted within {seconds} seconds"
        raise CheckpointError(f"{why}; give another copy, or try it on a faster machine") from None
    if child.returncode:
        last = child.stderr.strip().splitlines()[-1:] or [_end(child.returncode)]
        raise CheckpointError(f"{file} cannot be converted: {last[0].replace(f'{file.resolve()} ', 'it ')}")
    with part.open("rb") as stream:
        os.fsync(stream.fileno())


def _end(code: int) -> str:
    """Say how a process ended that said nothing."""
    how = f"by signal {-code}, as where memory runs out" if code < 0 else f"with {code}"
    return f"its process ended {how}; give another copy, or try it where there is more memory"
