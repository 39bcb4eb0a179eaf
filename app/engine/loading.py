"""Reading checkpoints onto the device that this process owns. Imports torch when it is first asked for something."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from app.collector import uncollected
from models.checkpoint.facts import CheckpointError, inspect
from models.checkpoint.headers import ITEM_BYTES

if TYPE_CHECKING:
    from app.engine.compiling import Compiler
    from models.bundle import Bundle

GIB = 2**30
SHARE = 0.5  # of the device's memory; the rest is for pictures, and for whoever else uses the machine
USABLE = 0.9
LEAST_SHARE = 0.1  # for pictures, whatever checkpoints may take
STORED_BYTES = 2  # a weight in most of the files that people have
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


class DeviceLoader:
    """Load checkpoints in the number format that the settings and the device ask for."""

    def __init__(self, device: str, dtype: str, exact_rows: int = 0, compiler: Compiler | None = None) -> None:
        self._device, self._dtype, self._exact_rows = device, dtype, exact_rows
        self._compiler = compiler

    def load(self, name: str, path: Path) -> Bundle:
        """Return the bundle, which calls itself `name`. Raises `CheckpointError`."""
        with uncollected():
            from models.checkpoint.loading import load
            from models.devices import pick_device, pick_dtype

            device = pick_device(self._device)
            bundle = load(path, device=device, dtype=pick_dtype(self._dtype, device))
        bundle = dataclasses.replace(bundle, name=name, exact_rows=self._exact_rows)
        compiled = self._compiler.compiled(bundle, path) if self._compiler else None
        return dataclasses.replace(bundle, compiled=compiled)

    def estimate(self, path: Path) -> int:
        """Bytes that its bundle will take, rather too many than too few; 0 for one that cannot be loaded anyway."""
        from models.devices import pick_device, pick_dtype

        try:
            facts = inspect(path)
        except (CheckpointError, OSError):
            return 0
        stored = min((ITEM_BYTES[name] for name in facts.dtypes if "F" in name), default=STORED_BYTES)
        return facts.bytes * pick_dtype(self._dtype, pick_device(self._device)).itemsize // stored

    def free(self) -> None:
        """Give back to the device what nobody holds any more."""
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def memory_budget(gib: float, device: str) -> int:
    """Bytes for loaded checkpoints: `gib`, or for 0 a share of what the device has."""
    return int(gib * GIB) if gib > 0 else int(SHARE * _device_bytes(device))


def pictures_budget(checkpoints: int, device: str) -> int:
    """Bytes for pictures under way: what is left beside so many of loaded checkpoints, and of what others use."""
    whole = _device_bytes(device)
    return int(max(USABLE * whole - checkpoints, LEAST_SHARE * whole))


def _device_bytes(device: str) -> int:
    import torch

    if device == "cuda":
        return int(torch.cuda.mem_get_info()[1])
    if device == "mps":
        return int(torch.mps.recommended_max_memory())
    return _machine_bytes()


def _machine_bytes() -> int:
    """The memory of this machine, or of the container that we are in."""
    own = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(own, int(CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # there is none, or it says "max"
        return own
