"""Which device the networks run on, and in which number format."""

from __future__ import annotations

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class DeviceError(ValueError):
    """The device or number format that was asked for cannot be had here."""


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of this name; `auto` prefers CUDA, then Metal, then the CPU. Raises `DeviceError`."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, usable in available.items() if usable))
    if not available.get(name.partition(":")[0], False):
        usable = ", ".join(kind for kind, found in available.items() if found)
        raise DeviceError(f"device {name!r} is not available; this machine and this build of torch have: {usable}")
    device = torch.device(name)
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if (device.index or 0) >= count:
        raise DeviceError(f"device {name!r} is not there; this machine has {count} of that kind, counted from 0")
    return device


def has_bfloat16(device: torch.device | str) -> bool:
    """Whether a device computes in bfloat16; a processor that does not takes a hundred times as long over it."""
    match torch.device(device).type:
        case "cpu":
            return bool(torch._C._has_mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported())
        case "cuda":
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        case _:
            return True


def autocast(device: torch.device | str) -> torch.autocast:
    """Return the context in which a training computes: in bfloat16 where the device does."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=has_bfloat16(device))


def pick_dtype(name: str = "auto", device: torch.device | str = "cpu") -> torch.dtype:
    """Return the number format of this name; `auto` is bfloat16 (else float16) on CUDA, and float32 elsewhere.

    Raises `DeviceError` for an unknown name, and for float16 on a CPU, which has no arithmetic for it.
    """
    kind = torch.device(device).type
    if name == "auto":
        if kind != "cuda":
            return torch.float32
        return torch.bfloat16 if has_bfloat16(device) else torch.float16
    if name not in DTYPES:
        raise DeviceError(f"dtype {name!r} is unknown; choose one of auto, {', '.join(DTYPES)}")
    if name == "float16" and kind == "cpu":
        raise DeviceError("dtype 'float16' is not for a CPU; choose float32, or bfloat16 to save memory")
    return DTYPES[name]
