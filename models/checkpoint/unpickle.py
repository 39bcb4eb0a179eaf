"""The child process that turns a pickle into a safetensors file: `python -m models.checkpoint.unpickle IN OUT`.

It gives up what reading weights does not need before it opens the file: the network, other programs, files to write
but its own, and memory beyond what a file of its size needs. Then torch reads with `weights_only`, which makes tensors
and plain containers and nothing else. It ends with one line on standard error that says what is wrong, or with none.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.checkpoint.headers import MAX_TENSORS, NAME

if TYPE_CHECKING:
    from torch import Tensor

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # of Linux' unshare(2)
PR_SET_PDEATHSIG = 1  # of Linux' prctl(2)
ROOM = 16 * 2**30  # bytes of addresses for the interpreter and torch, most of which are never touched
COPIES = 4  # of the file, that may be in memory or on disk
SLACK = 2**30  # bytes beside them
MAX_DEPTH = 4  # of containers in containers
MAX_ENTRIES = 5 * MAX_TENSORS  # of all containers; one that is in several counts each time
WRITES = ("w", "a", "x", "+")
DENIED = (
    *("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "pty.", "ftplib."),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"),
    *("os.kill", "os.utime", "os.setxattr", "shutil.", "signal."),
)
HARMLESS = ("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",)  # a key in the first files of 2022


NO_MEMORY = ("can't allocate memory", "not enough memory", "cannot allocate memory", "out of memory")
TOO_LARGE = "it asks for more memory than weights of its size need, or than there is; give another copy"


class RefusedError(Exception):
    """The file is not converted. The message says why and what to do."""


def main(argv: list[str]) -> int:
    """Convert. Returns 1 after a line on standard error."""
    source, target = (Path(argument) for argument in argv)
    try:
        sys.dont_write_bytecode = True
        end_with_parent()
        leave_network()
        size = source.stat().st_size
        check_archive(source, size)
        limit_memory(size)
        import torch
        from safetensors.torch import save_file

        torch.set_num_threads(1)
        limit_own_memory(COPIES * size + SLACK)
        guard(target)
        tensors = dict(flat(read(source)))
        check_tensors(tensors, source, size)
        save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, target)
    except (RefusedError, OSError, MemoryError, RuntimeError, ValueError) as error:
        print(TOO_LARGE if is_out_of_memory(error) else str(error).partition("\n")[0], file=sys.stderr)
        return 1
    return 0


def end_with_parent() -> None:
    """Have the system kill this process when the one that waits for it is gone, where it can do that."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def leave_network() -> None:
    """Go where there is no network at all, as far as the machine allows it. `guard` refuses sockets in any case."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER | CLONE_NEWNET)


def check_archive(source: Path, size: int) -> None:
    """Raise `RefusedError` for an archive that would unpack to much more than it is: torch's are not compressed."""
    try:
        with zipfile.ZipFile(source) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile:
        return  # an older form, or damaged, of which torch will tell
    if unpacked > COPIES * size:
        raise RefusedError(f"it would unpack to {unpacked:,} bytes, which no file of weights does; give another copy")


def limit_memory(size: int) -> None:
    """Limit addresses and the size of what is written, where the system has such limits."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (ROOM + COPIES * size,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SLACK + COPIES * size,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_own_memory(more: int) -> None:
    """Limit what is allocated from now on to so many bytes, where the system says how much that is already."""
    with contextlib.suppress(ImportError, OSError, TypeError, ValueError):
        import resource

        own = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
        limit = int(own[1]) * 1024 + more  # type: ignore[index]
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


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
        with safe_globals(stand_ins), source.open("rb") as stream:  # by its path torch would go by its name
            return torch.load(stream, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise RefusedError(
            f"{source} holds more than weights{_asked_for(source)}, which could run code, or is damaged; give another "
            "copy, best a .safetensors file"
        ) from None
    except (RuntimeError, EOFError, KeyError) as error:
        if is_out_of_memory(error):
            raise
        why = re.split(r"[.]?\s*\n|[.] ", str(error))[0]  # its first sentence
        raise RefusedError(f"{source} is damaged ({why}); copy or download it again") from None


def flat(content: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors by name; a `state_dict` within is what counts, if there is one. Raises `RefusedError`."""
    import torch

    nested = content.get("state_dict") if isinstance(content, Mapping) else None
    pending = [("", nested if isinstance(nested, Mapping) else content, 0)]
    entries = 0
    while pending:
        prefix, container, depth = pending.pop()
        if not isinstance(container, Mapping) or depth > MAX_DEPTH:
            continue
        entries += len(container)
        if entries > MAX_ENTRIES:
            raise RefusedError(f"it holds more than {MAX_ENTRIES:,} entries, as no checkpoint does; give another file")
        for key, value in container.items():
            name = f"{prefix}{key}"
            if isinstance(value, torch.Tensor) and value.layout is torch.strided:
                if NAME.fullmatch(name):
                    yield name, value
            elif isinstance(key, str):
                pending.append((f"{name}.", value, depth + 1))


def check_tensors(tensors: Mapping[str, Tensor], source: Path, size: int) -> None:
    """Raise `RefusedError` for no tensors, and for more of them than can be in a file of this size."""
    if not tensors:
        raise RefusedError(f"{source} holds no tensors, so it is no checkpoint; give another file")
    total = sum(tensor.nbytes for tensor in tensors.values())
    if total > COPIES * size:
        raise RefusedError(f"its tensors would take {total:,} bytes, which are not in it; give another copy")


def is_out_of_memory(error: Exception) -> bool:
    """Whether there was no memory left, which torch reports as a plain `RuntimeError`."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in NO_MEMORY)


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
