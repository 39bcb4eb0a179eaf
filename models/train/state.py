"""What a stage keeps in the work folder: written whole or not at all, and taken up by the design that wrote it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor, nn

from ..checkpoint.headers import CheckpointError
from .design import Design


def keep(file: Path, write: Callable[[Path], object]) -> None:
    """Have `write` make a file, and give it its name once it is whole. Raises `CheckpointError` if it cannot be."""
    part = file.with_suffix(".tmp")
    try:
        write(part)
        part.replace(file)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have words of their own
        part.unlink(missing_ok=True)
        why = f"{file} cannot be written ({str(error).strip()})"
        raise CheckpointError(
            f"{why}; is the disk full? What was kept before is whole: the same command goes on"
        ) from None


def take(networks: nn.Module, weights: Mapping[str, Tensor], file: Path, design: Design) -> None:
    """Give the networks the weights that `file` holds. Raises `CheckpointError` if they are another design's."""
    try:
        networks.load_state_dict(weights)
    except RuntimeError:
        raise CheckpointError(
            f"{file} is not of the design {design.name}; say with --design which one it was begun with, or name an "
            "empty --folder"
        ) from None
