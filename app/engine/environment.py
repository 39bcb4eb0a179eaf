"""Where a picture is made: with the recipe, all that its pixels depend on."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.bundle import Bundle


def environment(bundle: Bundle) -> dict[str, str]:
    """Name the checkpoint with its fingerprint, the device, the number format, and the versions of torch and of us."""
    import torch

    return {
        "checkpoint": bundle.name,
        "fingerprint": bundle.fingerprint,
        "device": bundle.device.type,
        "dtype": str(bundle.dtype).removeprefix("torch."),
        "torch": str(torch.__version__),
        "version": own_version(),
    }


def own_version() -> str:
    """Return the installed version of this program, or `source` where it runs without being installed."""
    try:
        return version("mezzotint")
    except PackageNotFoundError:
        return "source"
