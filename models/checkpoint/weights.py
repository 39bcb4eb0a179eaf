"""From files of weights to networks: built without memory, given their tensors cast while they are copied.

A file is read in parts that are cast one by one, so that loading needs the memory of the networks and that of one part
a thread more. The copies are ours: a file that changes later does not reach a running network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import RawIOBase
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from models.checkpoint.headers import AGAIN, CheckpointError, Slot, told

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
PART = 4 * 2**20  # bytes
MOST_THREADS = 4
DRAWS = (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_, Tensor.normal_, Tensor.uniform_)

Network = TypeVar("Network", bound=nn.Module)


def network(
    build: Callable[[], Network],
    slots: Mapping[str, Slot],
    device: torch.device,
    dtype: torch.dtype,
) -> Network:
    """Build a network with the tensors of files, which `fit.py` found to fit. Raises `CheckpointError`."""
    return fill(hollow(build), slots, device, dtype)


def hollow(build: Callable[[], Network]) -> Network:
    """Build a network whose tensors have shapes alone."""
    with torch.device("meta"), _Undrawn():
        return build()


class _Undrawn(TorchFunctionMode):
    """Draw no random numbers for tensors that have nowhere to put them, and keep what is counted real.

    For the one torch would import its compiler, for the other sympy: 1.9 s of processor time and 0.5 s.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in DRAWS:
            return args[0] if args else given["tensor"]
        if func is torch.arange:
            given = {"device": "cpu"} | given
        return func(*args, **given)


def fill(built: Network, slots: Mapping[str, Slot], device: torch.device, dtype: torch.dtype) -> Network:
    """Give a hollow network the tensors of files. Raises `CheckpointError`.

    Convolutions lie in memory with their channels last, which on a CPU saved 15 to 25 % of the embedded model's
    U-Net and VAE in float32.
    """
    built.load_state_dict(_copies(slots, device, dtype), assign=True)
    return built.train(False).requires_grad_(False)


def _copies(slots: Mapping[str, Slot], device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """Copy what lies in files, in several threads: fresh memory is what it waits for most, and each gets its own."""
    in_order = sorted(slots.items(), key=lambda item: (item[1].file, item[1].begin))
    with ThreadPoolExecutor(_threads(), "weights") as pool:
        copies = pool.map(lambda item: _copy(item[1], device, dtype), in_order)  # one that fails ends the others
        return dict(zip(dict(in_order), copies, strict=True))


def _threads() -> int:
    return min(torch.get_num_threads(), MOST_THREADS)


def _copy(slot: Slot, device: torch.device, dtype: torch.dtype) -> Tensor:
    layout = torch.channels_last if len(slot.shape) == 4 else torch.contiguous_format
    copy = torch.empty(slot.shape, dtype=dtype, device=device, memory_format=layout)
    buffer = torch.empty(min(PART, slot.end - slot.begin), dtype=torch.uint8)
    with told(slot.file), slot.file.open("rb", buffering=0) as stream:
        stream.seek(slot.begin)
        for part in _parts(copy, DTYPES[slot.dtype].itemsize):
            length = part.numel() * DTYPES[slot.dtype].itemsize
            read = buffer[:length] if length <= PART else torch.empty(length, dtype=torch.uint8)
            _read(stream, read, slot.file)
            part.copy_(read.view(DTYPES[slot.dtype]).view(part.shape))
    if not _is_finite(copy):
        raise _not_finite(slot, dtype)
    return copy


def _parts(tensor: Tensor, itemsize: int) -> Iterator[Tensor]:
    """Parts of a tensor that lie in a file one after another, of `PART` bytes there at most, or else a single row."""
    if tensor.numel() == 0:
        return iter(())
    rows = tensor if tensor.ndim == 4 else tensor.view(-1)  # with channels last only the rows are one after another
    return iter(torch.split(rows, max(1, PART // (itemsize * rows[0].numel()))))


def _read(stream: RawIOBase, buffer: Tensor, file: Path) -> None:
    """Fill a buffer with what comes next. A file that was cut off meanwhile raises; a map of it would kill us."""
    left = buffer.numpy().data
    while left:
        count = stream.readinto(left)
        if not count:
            raise CheckpointError(f"{file} was changed while it was loaded; try it again once it is whole")
        left = left[count:]


def _is_finite(tensor: Tensor) -> bool:
    """Whether all values are finite numbers; so are they if their sum is, and that is known sooner."""
    return math.isfinite(tensor.sum()) or bool(tensor.isfinite().all())


def _not_finite(slot: Slot, dtype: torch.dtype) -> CheckpointError:
    """Say that a tensor is not finite, or has become so in a number format too small for it."""
    kind = str(dtype).removeprefix("torch.")
    is_wider = dtype is torch.float16 and slot.dtype in ("F64", "F32", "BF16")
    remedy = "choose --dtype bfloat16 or float32, or " if is_wider else ""
    where = f" in {kind}" if is_wider else ""
    return CheckpointError(f"{slot.file}: not all values of {slot.key} are finite numbers{where}; {remedy}{AGAIN}")
