"""The child process that turns a pickle into a safetensors file: `python -m models.checkpoint.unpickle IN OUT`.

It gives up what reading weights does not need before it opens the file: the network, other programs, files to write
but its own, and memory beyond a limit. Then torch reads with `weights_only`, which makes tensors and plain containers
and nothing else. It ends with one line on standard error that says what is wrong, or with none.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.checkpoint.headers import MAX_TENSORS, NAME

if TYPE_CHECKING:
    from torch import Tensor

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # of Linux' unshare(2)
ROOM = 16 * 2**30  # bytes of addresses for the interpreter and torch, most of which are never touched
COPIES = 4  # of the file, that may be in memory or on disk
MAX_DEPTH = 4  # of containers in containers
WRITES = ("w", "a", "x", "+")
DENIED = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "pty.", "ftplib.")
HARMLESS = ("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",)  # a key in the first files of 2022


class RefusedError(Exception):
    """The file is not converted. The message says why and what to do."""


def main(argv: list[str]) -> int:
    """Convert. Returns 1 after a line on standard error."""
    source, target = (Path(argument) for argument in argv)
    try:
        sys.dont_write_bytecode = True
        leave_network()
        limit_memory(source.stat().st_size)
        from safetensors.torch import save_file

        guard(target)
        tensors = dict(flat(read(source)))
        if not tensors:
            raise RefusedError(f"{source} holds no tensors, so it is no checkpoint; give another file")
        save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, target)
    except (RefusedError, OSError, MemoryError, RuntimeError, ValueError) as error:
        text = "there is not enough memory for it" if isinstance(error, MemoryError) else str(error)
        print(text.partition("\n")[0], file=sys.stderr)
        return 1
    return 0


def leave_network() -> None:
    """Go where there is no network at all, as far as the machine allows it. `guard` refuses sockets in any case."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER | CLONE_NEWNET)


def limit_memory(size: int) -> None:
    """Limit addresses and the size of what is written, where the system has such limits."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (ROOM + COPIES * size,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**30 + COPIES * size,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def guard(target: Path) -> None:
    """From now on refuse sockets, other programs, and every file to write but `target`. It cannot be undone."""

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(DENIED):
            raise RefusedError(f"it asked for {event}, which reading weights does not need; give another file")
        if event == "open" and _writes(*arguments[1:]) and Path(str(arguments[0])) != target:
            raise RefusedError(
                f"it asked to write {arguments[0]}, which reading weights does not need; give another file"
            )

    sys.addaudithook(watch)


def _writes(mode: str | None, flags: int) -> bool:
    return any(sign in (mode or "") for sign in WRITES) or bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def read(source: Path) -> Any:
    """Read a file of torch. Raises `RefusedError` for one that holds anything but tensors in plain containers."""
    import pickle

    import torch
    from torch.serialization import safe_globals

    stand_ins: list[Any] = [(type("StandIn", (), {}), name) for name in HARMLESS]
    try:
        with safe_globals(stand_ins):
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise RefusedError(
            f"{source} holds more than weights{_asked_for(source)}, which could run code, or is damaged; give another "
            "copy, best a .safetensors file"
        ) from None
    except (RuntimeError, EOFError, KeyError) as error:
        raise RefusedError(
            f"{source} is damaged ({str(error).partition(chr(10))[0]}); copy or download it again"
        ) from None


def flat(content: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors by name; a `state_dict` within is what counts, if there is one. Raises `RefusedError`."""
    import torch

    if not isinstance(content, Mapping) or depth > MAX_DEPTH:
        return
    nested = content.get("state_dict")
    entries = nested if isinstance(nested, Mapping) and not prefix else content
    if len(entries) > MAX_TENSORS:
        raise RefusedError(f"it holds {len(entries):,} entries, where {MAX_TENSORS:,} are the most; give another file")
    for key, value in entries.items():
        name = f"{prefix}{key}"
        if isinstance(value, torch.Tensor) and value.layout is torch.strided:
            if NAME.fullmatch(name):
                yield name, value
        elif isinstance(key, str) and isinstance(value, Mapping):
            yield from flat(value, f"{name}.", depth + 1)


def _asked_for(source: Path) -> str:
    """Name what a file would have had imported, as far as that can be told."""
    from torch.serialization import get_unsafe_globals_in_checkpoint

    try:
        names = sorted(set(get_unsafe_globals_in_checkpoint(source)) - set(HARMLESS))
    except Exception:  # whatever a damaged or older file makes of it: the refusal stands without the names
        return ""
    return f" ({', '.join(name[:80] for name in names[:3])})" if names else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
