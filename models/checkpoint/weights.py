"""From files of weights to networks: built without memory, given their tensors cast while they are copied.

A file is mapped, and each stretch of it let go as soon as it is copied, so that loading needs the memory of the
networks and that of one tensor more. The copies are ours: a file that changes later does not reach a running network.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from models.checkpoint.headers import AGAIN, CheckpointError, Slot

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
NAMED = 3  # tensors that an error message names

Network = TypeVar("Network", bound=nn.Module)


def network(
    build: Callable[[], Network],
    slots: Mapping[str, Slot],
    device: torch.device,
    dtype: torch.dtype,
    *,
    fitting: str,
) -> Network:
    """Build a network with the tensors of files. Raises `CheckpointError` unless they fit, which `fitting` words.

    Convolutions lie in memory with their channels last, which on a CPU saved 15 to 25 % of the embedded model's
    U-Net and VAE in float32.
    """
    with torch.device("meta"):
        built = build()
    _compare(slots, built.state_dict(), fitting)
    built.load_state_dict(_copies(slots, device, dtype), assign=True)
    return built.train(False).requires_grad_(False)


def _copies(slots: Mapping[str, Slot], device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    copies, sums = {}, []
    in_order = sorted(slots.items(), key=lambda item: (item[1].file, item[1].begin))
    for file, group in groupby(in_order, key=lambda item: item[1].file):
        with _mapped(file) as view:
            for name, slot in group:
                copies[name] = _copy(view, slot, device, dtype)
                sums.append(copies[name].sum())  # of finite numbers finite, and quicker than looking
    if sums and not bool(torch.stack(sums).isfinite().all()):
        _blame(slots, copies, dtype)
    return copies


def _copy(view: mmap.mmap, slot: Slot, device: torch.device, dtype: torch.dtype) -> Tensor:
    if slot.begin == slot.end:
        return torch.empty(slot.shape, dtype=dtype, device=device)
    length = slot.end - slot.begin
    source = torch.frombuffer(view, dtype=torch.uint8, offset=slot.begin, count=length)
    if slot.begin % DTYPES[slot.dtype].itemsize:
        source = source.clone()  # torch reads numbers only at multiples of their size
    tensor = source.view(DTYPES[slot.dtype]).view(slot.shape)
    layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    copy = torch.empty(slot.shape, dtype=dtype, device=device, memory_format=layout).copy_(tensor)
    del tensor, source
    _let_go(view, slot.begin, slot.end)
    return copy


@contextmanager
def _mapped(file: Path) -> Iterator[mmap.mmap]:
    """Map a file; nothing that is written to the map reaches it."""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY) as view:
        yield view


def _let_go(view: mmap.mmap, begin: int, end: int) -> None:
    """Give the memory of a stretch back, but for the pages at its ends; the file keeps what was there."""
    first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
    whole = end // mmap.PAGESIZE * mmap.PAGESIZE - first
    if whole > 0 and hasattr(view, "madvise"):
        view.madvise(mmap.MADV_DONTNEED, first, whole)


def _compare(slots: Mapping[str, Slot], wanted: Mapping[str, Tensor], fitting: str) -> None:
    """Raise `CheckpointError` unless both have the same tensors of the same shapes."""
    files = sorted({slot.file for slot in slots.values()})
    lacking = [key for key in wanted if key not in slots]
    extra = [slot.key for key, slot in slots.items() if key not in wanted]
    shapes = [
        f"{slots[key].key} is {slots[key].shape} and not {tuple(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in slots and slots[key].shape != tensor.shape
    ]
    formats = [f"{slot.key} in {slot.dtype}" for slot in slots.values() if slot.dtype not in DTYPES]
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


def _blame(slots: Mapping[str, Slot], copies: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    """Raise `CheckpointError` if tensors are not finite, or have become so in a number format too small for them."""
    bad = [slots[name] for name, copy in copies.items() if not bool(copy.isfinite().all())]
    if not bad:
        return  # the sum of large numbers alone was too large
    names = _some([slot.key for slot in bad])
    kind = str(dtype).removeprefix("torch.")
    is_wider = dtype is torch.float16 and any(slot.dtype in ("F64", "F32", "BF16") for slot in bad)
    remedy = "choose --dtype bfloat16 or float32, or " if is_wider else ""
    where = f" in {kind}" if is_wider else ""
    raise CheckpointError(f"{bad[0].file}: not all values of {names} are finite numbers{where}; {remedy}{AGAIN}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
