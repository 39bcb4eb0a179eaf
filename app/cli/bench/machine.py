"""What figures depend on: the processor, its number formats, cores, memory, and how busy it was."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FORMATS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def machine() -> dict[str, str | int | float]:
    """Describe this machine."""
    from app.engine.threads import physical_cores

    about = _processor()
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "processor": about.get("model name", platform.processor()),
        "formats": " ".join(name for name in FORMATS if name in about.get("flags", "").split()),
        "cores": physical_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": round(os.getloadavg()[0], 2),
        "torch": _version("torch"),
        "diffusers": _version("diffusers"),
    }


def _processor() -> dict[str, str]:
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
