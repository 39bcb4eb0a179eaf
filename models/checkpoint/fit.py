"""Whether the tensors of a checkpoint are those that its networks need, from headers alone. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from models.checkpoint import wanted
from models.checkpoint.headers import MAX_TENSORS, CheckpointError, Slot
from models.checkpoint.layout import Layout, Part
from models.checkpoint.single_file import SingleFile

FORMATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})  # of safetensors, that weights can have
ORDER: tuple[Part, ...] = ("text_encoder", "unet", "vae")  # in which they are loaded
NAMED = 3  # tensors that an error message names


def check(files: Layout) -> None:
    """Raise `CheckpointError` unless all three networks, and noise levels, can be made of a checkpoint's files."""
    _check_betas(files)
    for part in ORDER:
        tensors = dict(islice(_wanted(files, part), MAX_TENSORS))  # no header has more
        _compare(files.weights(part), tensors, files.fitting)


def _compare(slots: Mapping[str, Slot], tensors: Mapping[str, wanted.Shape], fitting: str) -> None:
    """Raise `CheckpointError` unless both have the same tensors of the same shapes, all of numbers with fractions."""
    files = sorted({slot.file for slot in slots.values()})
    lacking = [key for key in tensors if key not in slots]
    extra = [slot.key for key, slot in slots.items() if key not in tensors]
    shapes = [
        f"{slots[key].key} is {slots[key].shape} and not {shape}"
        for key, shape in tensors.items()
        if key in slots and slots[key].shape != shape
    ]
    formats = [f"{slot.key} in {slot.dtype}" for slot in slots.values() if slot.dtype not in FORMATS]
    problems = (
        (lacking, "lacks"),
        (extra, "has unknown"),
        (shapes, "has other shapes:"),
        (formats, "has what are no weights:"),
    )
    text = "; ".join(f"{verb} {_some(names)}" for names, verb in problems if names)
    if text:
        name = files[0] if files else "the file"
        raise CheckpointError(f"{name} does not fit {fitting.format(problems=text)}")


def _wanted(files: Layout, part: Part) -> wanted.Wanted:
    match part:
        case "unet":
            return wanted.unet(files.unet)
        case "vae":
            return wanted.vae(files.vae)
        case "text_encoder":
            is_open_clip = isinstance(files, SingleFile) and files.has_open_clip
            return (wanted.open_clip if is_open_clip else wanted.clip)(files.text_encoder)


def _check_betas(files: Layout) -> None:
    """Raise `CheckpointError` for betas that leave nothing of a picture, or more than there was, after one step."""
    place = f"{files.path}: {files.scheduler_place}"
    for key in ("beta_start", "beta_end"):
        value = files.scheduler.get(key, 0.01)
        if type(value) not in (int, float) or not 0 < value < 1:
            raise CheckpointError(f"{place}: {key} must be a number above 0 and below 1, not {value!r}")


def _some(names: list[str]) -> str:
    """The first few of these names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
