"""The image tower that may lie beside the networks of a checkpoint: it compares pictures with their prompts."""

from __future__ import annotations

from pathlib import Path

import torch

from models.checkpoint.card import read_json
from models.checkpoint.headers import CheckpointError, read_header
from models.checkpoint.weights import fill, hollow
from models.config import ConfigError
from models.image_tower import ImageTower, ImageTowerConfig

FOLDER = "image_tower"
WEIGHTS = "model.safetensors"
REMEDY = "take both files from one checkpoint, or delete the folder: it is only there to compare pictures with prompts"


def image_tower_of(checkpoint: Path, text_width: int) -> ImageTower | None:
    """Load the image tower of a diffusers folder on the CPU, float32; None if it has none. Raises `CheckpointError`."""
    folder = checkpoint / FOLDER
    if not folder.is_dir():
        return None
    try:
        config = ImageTowerConfig.from_dict(read_json(folder / "config.json"))
    except ConfigError as error:
        raise CheckpointError(f"{folder / 'config.json'}: {error}; {REMEDY}") from error
    if config.text_width != text_width:
        raise CheckpointError(
            f"{folder / 'config.json'} gives a text_width of {config.text_width}, the text encoder a hidden_size of "
            f"{text_width}; {REMEDY}"
        )
    tower = hollow(lambda: ImageTower(config))
    slots = read_header(folder / WEIGHTS).slots
    wanted = {name: tuple(tensor.shape) for name, tensor in tower.state_dict().items()}
    if {name: slot.shape for name, slot in slots.items()} != wanted:
        raise CheckpointError(f"{folder / WEIGHTS} does not fit the config.json beside it; {REMEDY}")
    return fill(tower, slots, torch.device("cpu"), torch.float32)
