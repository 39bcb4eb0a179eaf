"""What a checkpoint is, folder or single file, from its JSON files and headers alone.

Imports no torch, so that the web process can list checkpoints. `loading.py` loads the networks.
"""

from __future__ import annotations

from pathlib import Path
from stat import S_ISREG
from typing import Any

from pydantic import BaseModel, ConfigDict

from models.checkpoint.card import Card, Defaults, PreviewFactors, read_json
from models.checkpoint.diffusers_folder import DiffusersFolder
from models.checkpoint.fit import check
from models.checkpoint.headers import CheckpointError, told
from models.checkpoint.layout import PARTS, Layout
from models.checkpoint.single_file import SingleFile

__all__ = [
    "Card",
    "CheckpointError",
    "CheckpointFacts",
    "Defaults",
    "PreviewFactors",
    "inspect",
    "layout_of",
    "read_json",
]

UNET_WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
VAE_WEIGHTS = "vae/diffusion_pytorch_model.safetensors"
TEXT_WEIGHTS = "text_encoder/model.safetensors"
WEIGHTS = (UNET_WEIGHTS, VAE_WEIGHTS, TEXT_WEIGHTS)
UNKNOWN = "unknown"  # the prediction type that only a trial can tell


class CheckpointFacts(BaseModel):
    """What the user sees of a checkpoint. `words` groups what a small model knows; empty means no such limit.

    `width` and `height` are the native size; every size must be a multiple of `size_multiple`. `prediction_type` is
    epsilon, v_prediction, sample, or "unknown" until it is loaded. `bytes` is the size of the files of weights, `files`
    their paths; `dtypes` are the number formats in them. `missing` names what is not there, in whose place the family's
    is taken; `sha256` is of the first file, where the catalogue knows it; `ignored` counts tensors that nothing asks
    for; `warnings` are sentences. The text encoder takes `max_tokens` at once and has `text_layers`.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    path: str
    family: str
    latent_channels: int
    width: int
    height: int
    size_multiple: int = 8
    defaults: dict[str, Any]
    examples: list[str]
    words: dict[str, list[str]]
    grammar_words: list[str]
    prediction_type: str
    inpainting: bool
    bytes: int
    sha256: str | None = None
    layout: str = "folder"
    unet_in_channels: int = 4
    max_tokens: int = 77
    text_layers: int = 12
    dtypes: list[str] = []
    files: list[str] = []
    missing: list[str] = []
    ignored: int = 0
    warnings: list[str] = []


def inspect(path: Path | str) -> CheckpointFacts:
    """Say what lies at `path`. Raises `CheckpointError` for anything but a whole checkpoint of a known kind."""
    found = layout_of(Path(path))
    with told(found.path):
        return _facts(found)


def _facts(found: Layout) -> CheckpointFacts:
    config, card, dtypes = found.config, found.card, found.dtypes  # the last reads all headers
    check(found)
    files = {file: None for part in PARTS for file in found.files(part)}  # in their order, each once
    return CheckpointFacts(
        name=found.name,
        title=card.title or found.name,
        path=str(found.path),
        family=found.family,
        latent_channels=config.latent_channels,
        width=config.width,
        height=config.height,
        size_multiple=config.vae_factor,
        defaults=found.defaults,
        examples=card.examples,
        words=card.words,
        grammar_words=card.grammar_words,
        prediction_type=found.prediction_type or UNKNOWN,
        inpainting=config.unet_in_channels != config.latent_channels,
        bytes=sum(file.stat().st_size for file in files),
        layout="file" if isinstance(found, SingleFile) else "folder",
        unet_in_channels=config.unet_in_channels,
        max_tokens=config.max_tokens,
        text_layers=int(found.text_encoder.get("num_hidden_layers", 12)),
        dtypes=dtypes,
        files=[str(file) for file in files],
        missing=found.missing,
        ignored=len(found.ignored),
        warnings=found.warnings,
    )


def layout_of(path: Path) -> Layout:
    """Open the checkpoint at `path`: a folder in the layout of diffusers, or a single file."""
    with told(path):
        return SingleFile(path) if S_ISREG(path.stat().st_mode) else DiffusersFolder(path)
