"""Where a picture is made: with the recipe, all that its pixels depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app import __version__
from app.engine.task import Compiled

if TYPE_CHECKING:
    from models.bundle import Bundle


def environment(bundle: Bundle, compiled: Compiled = "no") -> dict[str, str]:
    """Name the checkpoint with its fingerprint, the device, the number format, and the versions of torch and of us.

    Where compiled networks made some of the steps, which then are rounded otherwise, it says that, too.
    """
    import torch

    return {
        "checkpoint": bundle.name,
        "fingerprint": bundle.fingerprint,
        "device": bundle.device.type,
        "dtype": str(bundle.dtype).removeprefix("torch."),
        "torch": str(torch.__version__),
        "version": __version__,
    } | ({"compiled": compiled} if compiled != "no" else {})
