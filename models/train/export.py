"""Write what was trained as a diffusers folder that `models.checkpoint` and diffusers load alike, float16."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from ..checkpoint import image_tower
from ..checkpoint.headers import CheckpointError
from ..vae import VAE
from . import decoder
from .design import SCHEDULER, Design
from .diffusion import Networks, Run
from .pictures import to_pixels
from .plan import Plan
from .scene import WORLDS
from .speech import grammar_words, vocabulary
from .words import Words

TITLE = "Poster landscapes"
DEFAULTS = {
    "steps": 20,
    "guidance_scale": 4.0,
    "guidance_rescale": 0.5,
    "sampler": "ddim",
}
EXAMPLES = [
    "mountains behind a field of flowers at sunset with a lighthouse on the right",
    "sand dunes beside a lake at dawn with a sailboat on the left and the sun on the right",
    "dunes by a lake at sundown with fir trees in the center and the sun on the left, in pink and navy",
    "mountains by a lake at dawn with a tent on the left, mezzotint style",
    "snowy mountains at sunset with a cabin on the left",
    "mountains by a lake at dusk with pine trees on the left and a crescent moon on the right, in blue and gold",
    "a lighthouse on the right by the sea at night, rolling hills behind, a crescent moon on the left",
    "northern lights, islands beside a lake at night with a sailboat on the right",
    "snowy mountains in the snow on a clear day with a cabin on the right",
    "sand dunes in the desert at sundown with a cactus on the right and the sun on the left",
    "a mountain range along a river at dawn with a tent on the left, the sun on the left and clouds",
    "palm trees on the right by the ocean in the morning, sand dunes behind, the sun on the left",
    "snowy mountains in winter at noon with pine trees on the right and the sun on the left",
    "islands by the ocean in the morning with a sailboat in the middle, in pastel colors",
    "snowy mountains on a clear day with pine trees on the right, as a woodcut",
]
MORE_EXAMPLES = [
    "snowy mountains at sunset with a castle on the left, papercut style",
    "a forest by a lake in fog at dawn with a deer on the right",
    "a canyon in the desert by day with two tents and birds, risograph print",
    "a hot-air balloon in the middle, rolling hills behind, in autumn in the morning, the sun on the left",
    "a volcano by the sea at night with a whale on the right and a full moon, as a woodcut",
    "a village in the snow at dusk while it snows with a church on the right",
    "pyramids in the desert at sundown with three cactuses on the left, in blue and gold",
    "a city skyline by a lake at night with stars and a bridge, neon style",
    "a mountain range behind a vineyard at noon with a small barn on the left and clouds",
    "a lighthouse by the sea at twilight with a crescent moon on the left, mezzotint style",
    "islands by the ocean in the morning with two sailboats, in pastel colors",
    "a rocket on the right, dunes behind, by night, northern lights, pixel art",
]
PATCH = 4  # a preview shows 4 x 4 pixels a latent


def export(run: Run, vae: VAE, target: Path) -> None:
    """Write the averaged networks of a run and its autoencoder to `target`."""
    networks, design, world = run.average, run.design, WORLDS[run.design.world]
    _weights(target / "unet", "diffusion_pytorch_model", networks.unet.state_dict(), design.unet)
    _weights(target / "vae", "diffusion_pytorch_model", vae.state_dict(), design.vae)
    _text(target, networks, run.words)
    _json(target / "scheduler" / "scheduler_config.json", SCHEDULER)
    _json(
        target / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "feature_extractor": [None, None],
            "safety_checker": [None, None],
            "requires_safety_checker": False,
            "scheduler": ["diffusers", SCHEDULER["_class_name"]],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    card = {
        "title": TITLE,
        "world": design.world,
        "defaults": {"width": design.image_size, "height": design.image_size} | DEFAULTS,
        "examples": EXAMPLES if design.world == 1 else MORE_EXAMPLES,
        "words": vocabulary(world),
        "grammar_words": grammar_words(world),
        "preview": preview_factors(vae, design),
    }
    _json(target / "mezzotint.json", card)


def _text(target: Path, networks: Networks, words: Words) -> None:
    """Write the text encoder, with empty rows for what only other programs' tokenizers can ask for."""
    file = target / "text_encoder" / "model.safetensors"
    before = file.read_bytes() if file.exists() else b""
    config = networks.text_encoder.config.to_dict() | {"architectures": ["CLIPTextModel"], "vocab_size": words.rows}
    state = networks.text_encoder.state_dict()
    name = next(key for key in state if key.endswith("token_embedding.weight"))
    state[name] = F.pad(state[name], (0, 0, 0, words.rows - len(state[name])))
    _weights(target / "text_encoder", "model", state, config)
    words.save(target / "tokenizer")
    if file.read_bytes() != before:
        shutil.rmtree(target / image_tower.FOLDER, ignore_errors=True)  # it was trained for the other text encoder


def _weights(folder: Path, name: str, state: dict[str, Tensor], config: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _json(folder / "config.json", config)
    tensors = {key: value.half().contiguous() for key, value in state.items()}
    save_file(tensors, folder / f"{name}.safetensors", metadata={"format": "pt"})


def _json(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@torch.no_grad()
def preview_factors(vae: VAE, design: Design, pictures: int = 64) -> dict[str, Any]:
    """Fit PATCH x PATCH colours linearly to each latent, by least squares over held-out pictures.

    "weight" has a row for each latent channel, "bias" one value for each of the 3 * PATCH * PATCH colours, in the
    order of `torch.pixel_shuffle`.
    """
    latents, colours = [], []
    for picture in decoder.held_out(design.name, pictures):
        pixels = to_pixels(np.stack([picture]))
        latent = vae.encode(pixels)[0]
        small = F.interpolate(pixels, scale_factor=PATCH * latent.shape[-1] / pixels.shape[-1], mode="area")
        latents.append(_rows(latent))
        colours.append(_rows(F.pixel_unshuffle(small, PATCH)))
    known = torch.cat(latents)
    rows = torch.cat([known, torch.ones(len(known), 1)], dim=1)
    solution = torch.linalg.lstsq(rows, torch.cat(colours)).solution
    weight, bias = solution[:-1], solution[-1]
    rounded = [[round(value, 4) for value in row] for row in weight.tolist()]
    return {"weight": rounded, "bias": [round(value, 4) for value in bias.tolist()]}


def _rows(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def export_folder(folder: Path, design: Design, target: Path) -> None:
    """Export the trained networks that lie in `folder`. Raises `CheckpointError` if none are there."""
    run, vae = Run(folder, design, Plan()), decoder.load(folder, design)
    if not run.has_begun:
        raise CheckpointError(f"{folder} has no U-Net; train one with the stage 'diffusion' first")
    export(run, vae, target)
