"""Begin a training with the weights of an exported checkpoint instead of random ones."""

from __future__ import annotations

from pathlib import Path

import torch

from ..bundle import Bundle
from ..checkpoint.headers import CheckpointError
from ..checkpoint.loading import load
from ..config import VAEConfig
from ..text import TextTower
from . import decoder
from .design import Design
from .diffusion import Networks, Run
from .plan import Plan

EMBEDDING = "embeddings.token_embedding.weight"
OWN = ("principal.safetensors", "autoencoder.pt", "pairs")  # what a training makes before its U-Net


def begin(folder: Path, design: Design, checkpoint: Path) -> None:
    """Put the weights of `checkpoint`, a folder that `export` wrote, into a work folder whose U-Net has not begun.

    Words that the checkpoint did not know begin as random rows. Its optimizer is not known, so a plan begins anew.
    Raises `CheckpointError` if it cannot be loaded, its networks are not those of the design, or the work folder has an
    autoencoder or pairs of its own, whose latents would be others.
    """
    if (folder / "diffusion.pt").exists():
        return
    if own := next((name for name in OWN if (folder / name).exists()), None):
        raise CheckpointError(f"{folder} has a training of its own in it ({own}); name an empty --folder")
    bundle, run = load(checkpoint), Run(folder, design, Plan())
    if (part := _other_part(bundle, run)) is not None:
        raise CheckpointError(f"{checkpoint}: its {part} is not that of the design {design.name}")
    folder.mkdir(parents=True, exist_ok=True)
    for networks in (run.networks, run.average):
        _fill(networks, run.words.vocabulary.ids, bundle)
    decoder.save(bundle.vae, folder)
    run.save()


def _other_part(bundle: Bundle, run: Run) -> str | None:
    """Which of the networks, if any, has another shape than the design's."""
    theirs = bundle.text.model.config.to_dict() if isinstance(bundle.text, TextTower) else {}
    wanted = run.networks.text_encoder.config.to_dict()
    keys = run.design.text.keys() - {"projection_dim"}  # of a layer that the encoder of a U-Net does not have
    fits = {
        "unet": bundle.unet.config == run.networks.unet.config,
        "vae": bundle.vae.config == VAEConfig.from_dict(run.design.vae),
        "text_encoder": all(theirs.get(key) == wanted[key] for key in keys),
    }
    return next((part for part, is_same in fits.items() if not is_same), None)


@torch.no_grad()
def _fill(networks: Networks, ids: tuple[int, ...], bundle: Bundle) -> None:
    networks.unet.load_state_dict(bundle.unet.state_dict())
    assert isinstance(bundle.text, TextTower)
    state, compact = bundle.text.model.state_dict(), bundle.text.tokenizer.vocabulary
    name = next(key for key in state if key.endswith(EMBEDDING))
    known = {token: row for row, token in enumerate(compact.ids)} if compact else {}
    rows = networks.text_encoder.state_dict()[name].clone()
    for row, token in enumerate(ids):
        if token in known:
            rows[row] = state[name][known[token]]
    networks.text_encoder.load_state_dict(state | {name: rows})
