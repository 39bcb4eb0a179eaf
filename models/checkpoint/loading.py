"""Load a checkpoint, a folder or a single file, onto a device. `facts.py` says what one is without loading it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from models.bundle import Bundle
from models.checkpoint.facts import CheckpointError, CheckpointFacts, inspect, layout_of
from models.checkpoint.fit import check
from models.checkpoint.headers import fingerprint, told
from models.checkpoint.image_tower import image_tower_of
from models.checkpoint.layout import Layout
from models.checkpoint.probe import probe
from models.checkpoint.tokenizers import tokenizer_of
from models.checkpoint.towers import tower_of
from models.checkpoint.weights import fill, hollow
from models.schedule import Schedule
from models.unet import UNet
from models.vae import VAE

__all__ = ["CheckpointError", "CheckpointFacts", "inspect", "load"]


def load(path: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Bundle:
    """Load a checkpoint. Raises `CheckpointError`, which names the file and the remedy."""
    files = layout_of(Path(path))
    with told(files.path):
        return _loaded(files, torch.device(device), dtype)


def _loaded(files: Layout, device: torch.device, dtype: torch.dtype) -> Bundle:
    config, tokenizer = files.config, tokenizer_of(files)
    check(files)
    schedule = schedule_of(files)
    with ThreadPoolExecutor(2, "checkpoint") as beside:  # what copying the U-Net does not wait for
        hollow_unet = beside.submit(hollow, lambda: UNet(files.unet))
        tower = beside.submit(tower_of, files, tokenizer, device, dtype)
        hollow_vae = beside.submit(hollow, lambda: VAE(files.vae))
        mark = beside.submit(fingerprint, files.files("unet")[0])
        unet = fill(hollow_unet.result(), files.weights("unet"), device, dtype)
        vae = fill(hollow_vae.result(), files.weights("vae"), device, dtype)
        text = tower.result()
    if files.prediction_type is None:
        schedule = schedule_of(files, probe(unet, text, device, dtype))
    return Bundle(
        name=files.name,
        config=config,
        schedule=schedule,
        unet=unet,
        vae=vae,
        text=text,
        device=device,
        dtype=dtype,
        fingerprint=mark.result(),
        defaults=files.defaults,
        preview_factors=files.card.preview.model_dump() if files.card.preview else None,
        examples=files.card.examples,
        vocabulary=files.card.words,
        image_tower=image_tower_of(files.path, config.context_width),
    )


def schedule_of(files: Layout, prediction_type: str | None = None) -> Schedule:
    """Return the noise schedule of a checkpoint. Raises `CheckpointError`."""
    kind = prediction_type or files.prediction_type
    try:
        return Schedule.from_config({**files.scheduler, **({"prediction_type": kind} if kind else {})})
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{files.path}: {files.scheduler_place}: {error}") from error
