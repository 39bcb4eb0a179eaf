"""Write what was trained as a diffusers folder that `models.checkpoint` and diffusers load alike, float16."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from ..vae import VAE
from . import decoder, shapes
from .diffusion import Networks, Run
from .pictures import HELD_OUT, picture_of, to_pixels
from .plan import Plan
from .scene import grammar_words, vocabulary
from .words import Words

TITLE = "Poster landscapes"
DEFAULTS = {
    "width": shapes.IMAGE_SIZE,
    "height": shapes.IMAGE_SIZE,
    "steps": 20,
    "guidance_scale": 4.0,
    "guidance_rescale": 0.5,
    "sampler": "ddim",
}
EXAMPLES = [
    "snowy mountains at sunset with a cabin on the left",
    "a lighthouse by the sea at night, rolling hills behind, a crescent moon",
    "northern lights, islands beside a lake at night with a sailboat",
    "snowy mountains in the snow on a clear day with a cabin",
    "sand dunes in the desert at sundown with a cactus",
    "snow-capped mountains by the sea at sunrise with a windmill and clouds",
    "a mountain range along a river at dawn with a tent, the sun and clouds",
    "palm trees by the ocean in the morning, sand dunes behind, the sun",
    "a city skyline in winter by night with a full moon",
    "snowy mountains in winter with pine trees on the right and the sun",
]
PATCH = 4  # a preview shows 4 x 4 pixels a latent


def export(run: Run, vae: VAE, target: Path) -> None:
    """Write the averaged networks of a run and its autoencoder to `target`."""
    networks = run.average
    _weights(target / "unet", "diffusion_pytorch_model", networks.unet.state_dict(), shapes.UNET)
    _weights(target / "vae", "diffusion_pytorch_model", vae.state_dict(), shapes.VAE)
    _text(target, networks, run.words)
    _json(target / "scheduler" / "scheduler_config.json", shapes.SCHEDULER)
    _json(
        target / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "feature_extractor": [None, None],
            "safety_checker": [None, None],
            "requires_safety_checker": False,
            "scheduler": ["diffusers", "DDIMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    card = {
        "title": TITLE,
        "defaults": DEFAULTS,
        "examples": EXAMPLES,
        "words": vocabulary(),
        "grammar_words": grammar_words(),
        "preview": preview_factors(vae),
    }
    _json(target / "mezzotint.json", card)


def _text(target: Path, networks: Networks, words: Words) -> None:
    """Write the text encoder, with empty rows for what only other programs' tokenizers can ask for."""
    config = networks.text_encoder.config.to_dict() | {"architectures": ["CLIPTextModel"], "vocab_size": words.rows}
    state = networks.text_encoder.state_dict()
    name = next(key for key in state if key.endswith("token_embedding.weight"))
    state[name] = F.pad(state[name], (0, 0, 0, words.rows - len(state[name])))
    _weights(target / "text_encoder", "model", state, config)
    words.save(target / "tokenizer")


def _weights(folder: Path, name: str, state: dict[str, Tensor], config: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _json(folder / "config.json", config)
    tensors = {key: value.half().contiguous() for key, value in state.items()}
    save_file(tensors, folder / f"{name}.safetensors", metadata={"format": "pt"})


def _json(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@torch.no_grad()
def preview_factors(vae: VAE, pictures: int = 64) -> dict[str, Any]:
    """Fit PATCH x PATCH colours linearly to each latent, by least squares over held-out pictures.

    "weight" has a row for each latent channel, "bias" one value for each of the 3 * PATCH * PATCH colours, in the
    order of `torch.pixel_shuffle`.
    """
    latents, colours = [], []
    for number in range(pictures):
        pixels = to_pixels(np.stack([picture_of(HELD_OUT + 10_000 + number)]))
        latent = vae.encode(pixels)[0]
        small = F.interpolate(pixels, scale_factor=PATCH * latent.shape[-1] / pixels.shape[-1], mode="area")
        latents.append(_rows(latent))
        colours.append(_rows(F.pixel_unshuffle(small, PATCH)))
    known = torch.cat(latents)
    design = torch.cat([known, torch.ones(len(known), 1)], dim=1)
    solution = torch.linalg.lstsq(design, torch.cat(colours)).solution
    weight, bias = solution[:-1], solution[-1]
    rounded = [[round(value, 4) for value in row] for row in weight.tolist()]
    return {"weight": rounded, "bias": [round(value, 4) for value in bias.tolist()]}


def _rows(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def export_folder(folder: Path, target: Path) -> None:
    """Export the trained networks that lie in `folder`."""
    export(Run(folder, Plan(steps=0, decay=0)), decoder.load(folder), target)
