"""Begin a training with the weights of an exported checkpoint instead of random ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..config import VAEConfig
from ..vae import VAE
from . import decoder
from .design import Design
from .diffusion import Networks, Run
from .plan import Plan

EMBEDDING = "embeddings.token_embedding.weight"


class OriginError(ValueError):
    """A checkpoint that this training cannot begin with."""


def begin(folder: Path, design: Design, checkpoint: Path) -> None:
    """Put the weights of `checkpoint`, a folder that `export` wrote, into a work folder; nothing if it has begun.

    Words that the checkpoint did not know begin as random rows. Its optimizer is not known, so a plan begins anew.
    Raises `OriginError` if there is no such checkpoint or its networks are not those of the design.
    """
    if (folder / "diffusion.pt").exists():
        return
    for part, wanted in (("unet", design.unet), ("vae", design.vae), ("text_encoder", design.text)):
        found = _read(checkpoint / part / "config.json")
        differing = [key for key, value in wanted.items() if found.get(key) != value]
        if differing:
            raise OriginError(f"{checkpoint}: its {part} is not that of the design {design.name} ({differing[0]})")
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, design, Plan())
    for networks in (run.networks, run.average):
        _fill(networks, run.words.vocabulary.ids, checkpoint)
    vae = VAE(VAEConfig.from_dict(design.vae))
    vae.load_state_dict(_weights(checkpoint / "vae" / "diffusion_pytorch_model.safetensors"))
    decoder.save(vae, folder)
    run.save()


def _fill(networks: Networks, ids: tuple[int, ...], checkpoint: Path) -> None:
    networks.unet.load_state_dict(_weights(checkpoint / "unet" / "diffusion_pytorch_model.safetensors"))
    state = _weights(checkpoint / "text_encoder" / "model.safetensors")
    name = next(key for key in state if key.endswith(EMBEDDING))
    known = {token: row for row, token in enumerate(_read(checkpoint / "tokenizer" / "vocab_ids.json")["ids"])}
    with torch.no_grad():
        rows = networks.text_encoder.state_dict()[name].clone()
    for row, token in enumerate(ids):
        if token in known:
            rows[row] = state[name][known[token]]
    networks.text_encoder.load_state_dict(state | {name: rows})


def _weights(path: Path) -> dict[str, Tensor]:
    try:
        return {key: tensor.float() for key, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise OriginError(f"{path} cannot be read: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OriginError(f"{path} cannot be read: {error}") from error
    return content
