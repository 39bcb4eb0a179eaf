"""Stable Diffusion 1.5 and 2.1 in full size, with random weights: loading, and agreement with diffusers.

Diffusers and we work in processes of their own, one after another, so that neither side's memory is the other's.
Takes five minutes on two cores, 2 GB of disk and 8 GB of memory; needs the tools of the tests (diffusers).
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.bench import Figure
from app.cli.bench.measure import apart, forget_peak, peak_bytes, resident_bytes, timed
from app.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models.bundle import Bundle

SIDE = 256  # pixels
STEPS = 3
SEED = 7
GUIDANCE = 7.5
PROMPT, NEGATIVE = "a cabin under snowy mountains", "fog"
TIMESTEP = 501
POOL = 2**22 + 9  # random numbers that all weights are cut from; odd, so that no two rows of a weight are the same
LARGEST = 49408 * 1024  # numbers in one weight: the tokens of ViT-H
SPREAD = 3**-0.5  # of weights, times the root of their inputs: what torch's own layers begin with
TOLERANCE = 1e-5  # relative L2
GIB = 2**30

VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "sample_size": 512,
}
SCHEDULE = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "clip_sample": False,
}
CONFIGS: dict[str, dict[str, dict[str, Any]]] = {
    "SD 1.5": {
        "unet": {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
        "text": {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "hidden_act": "quick_gelu",
        },
        "schedule": {},
    },
    "SD 2.1": {
        "unet": {
            "sample_size": 96,
            "cross_attention_dim": 1024,
            "attention_head_dim": [5, 10, 20, 20],
            "use_linear_projection": True,
        },
        "text": {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 23,
            "num_attention_heads": 16,
            "hidden_act": "gelu",
        },
        "schedule": {"prediction_type": "v_prediction"},
    },
}


def measure(_settings: Settings) -> Iterator[Figure]:
    """Have diffusers write each checkpoint in float16 and use it, then load it and use it; in float32 on the CPU."""
    try:
        import diffusers  # noqa: F401
    except ImportError as error:
        raise RuntimeError(
            "it compares with diffusers, which the tests bring: python3 -m app test --version"
        ) from error
    began = time.perf_counter()
    for name in CONFIGS:
        with tempfile.TemporaryDirectory(prefix="mezzotint-parity-") as base:
            folder = Path(base) / "checkpoint"
            yield Figure(
                f"{name}: memory that diffusers took", apart(ask_diffusers, name, folder) / GIB, "GiB", at_most=16
            )
            yield from apart(ask_us, name, folder)
    yield Figure("all of it", time.perf_counter() - began, "s", at_most=600)


def ask_diffusers(name: str, folder: Path) -> int:
    """Write a checkpoint, and what diffusers and transformers make of it beside it. Returns the peak of memory."""
    import numpy as np
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    parts = networks(name)
    scheduler = DDIMScheduler(**SCHEDULE, **CONFIGS[name]["schedule"])
    for part, network in {**parts, "scheduler": scheduler}.items():
        network.save_pretrained(folder / part)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    text, unet, vae = (parts[part].float() for part in ("text_encoder", "unet", "vae"))
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    with torch.inference_mode():
        states = text(_ids(folder)).last_hidden_state
        latents, pixels = _inputs()
        found = {
            "text states": states,
            "one U-Net call": unet(latents, TIMESTEP, states[:1]).sample,
            "encoding by the VAE": vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor,
            "decoding by the VAE": vae.decode(latents / vae.config.scaling_factor).sample,
        }
        image = pipeline(
            prompt_embeds=states[:1],
            negative_prompt_embeds=states[1:],
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            generator=torch.Generator("cpu").manual_seed(SEED),
            width=SIDE,
            height=SIDE,
            output_type="pil",
        ).images[0]
    torch.save({**found, "image": torch.from_numpy(np.array(image).reshape(-1))}, folder.parent / "theirs.pt")
    return peak_bytes()


def networks(name: str) -> dict[str, Any]:
    """Return diffusers' and transformers' networks with random weights in float16, the largest at once."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CONFIGS[name]
    with torch.device("meta"):
        parts = {
            "unet": UNet2DConditionModel(**config["unet"]),
            "vae": AutoencoderKL(**VAE),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**config["text"])),
        }
    pool = torch.randn(POOL, generator=torch.Generator().manual_seed(0)).repeat(2 + LARGEST // POOL)
    for part in parts.values():
        _draw(part, pool)
    return parts


def _draw(network: nn.Module, pool: Tensor) -> None:
    """Give a network without memory its weights, in seconds; torch's own initialisation takes half a minute."""
    import torch

    state, begin = {}, 0
    for key, tensor in network.state_dict().items():
        values = pool[begin : begin + tensor.numel()]
        fan_in = tensor[0].numel() if tensor.ndim > 1 else 1
        spread = 0.02 if tensor.ndim == 1 or "embedding" in key else SPREAD * fan_in**-0.5
        centre = 1.0 if tensor.ndim == 1 and key.endswith("weight") else 0.0
        state[key] = values.mul(spread).add_(centre).to(torch.float16).view(tensor.shape)
        begin = (begin + tensor.numel()) % POOL
    network.load_state_dict(state, assign=True)
    for name, buffer in network.named_buffers():  # transformers' position ids, which are in no file
        network.get_submodule(name.rpartition(".")[0]).register_buffer(
            name.rpartition(".")[2], torch.arange(buffer.numel()).view(buffer.shape), persistent=False
        )
    network.eval()


def ask_us(name: str, folder: Path) -> list[Figure]:
    """Load the checkpoint, which the other process has left in the page cache, and compare."""
    import torch
    import transformers.models.clip.modeling_clip  # noqa: F401

    loaded, bundle = _loading(folder)
    theirs = torch.load(folder.parent / "theirs.pt", weights_only=True)
    figures = [*loaded, *(_distance(what, tensor, theirs[what]) for what, tensor in _answers(bundle, theirs).items())]
    began = time.perf_counter()
    image = _picture(bundle)
    figures.append(Figure(f"picture, {SIDE} px, {STEPS} steps", time.perf_counter() - began, "s"))
    difference = float((image.int() - theirs["image"].int()).abs().max())
    figures.append(Figure("largest difference in it", difference, "of 255", at_most=1))
    figures.append(Figure("memory that we took", peak_bytes() / GIB, "GiB", at_most=16))
    return [Figure(f"{name}: {figure.name}", figure.value, figure.unit, at_most=figure.at_most) for figure in figures]


def _loading(folder: Path) -> tuple[list[Figure], Bundle]:
    """Load it. How long memory as such takes, which some machines have to fetch first, is the floor of that."""
    import torch

    from models.checkpoint.loading import load

    forget_peak()
    before = resident_bytes()
    bundles: list[Bundle] = []
    clock, processor = timed(lambda: bundles.append(load(folder)))
    peak = peak_bytes() - before
    floor, _ = timed(lambda: torch.zeros(bundles[0].bytes, dtype=torch.uint8).fill_(1))
    figures = [
        Figure("load of a page-cached float16 folder", clock, "s", at_most=3),
        Figure("processor time of it", processor, "s"),
        Figure("filling as much fresh memory and nothing else", floor, "s"),
        Figure("peak memory of it", peak / bundles[0].bytes, "x", at_most=1.25),
    ]
    return figures, bundles[0]


def _answers(bundle: Bundle, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    import torch

    from models.calls import Decode, Encode, EncodeImage, Predict

    latents, pixels = _inputs()
    return {
        "text states": torch.stack(bundle.answer([Encode(PROMPT), Encode(NEGATIVE)])),
        "one U-Net call": bundle.answer([Predict(latents, float(TIMESTEP), (theirs["text states"][0],), 0, 1)])[0],
        "encoding by the VAE": bundle.answer([EncodeImage(pixels)])[0],
        "decoding by the VAE": bundle.answer([Decode(latents)])[0],
    }


def _distance(what: str, ours: Tensor, theirs: Tensor) -> Figure:
    error = float((ours - theirs).norm() / theirs.norm())
    return Figure(f"{what}, relative L2 x 1e6", error * 1e6, "", at_most=TOLERANCE * 1e6)


def _ids(folder: Path) -> Tensor:
    import torch

    from models.checkpoint.facts import layout_of
    from models.checkpoint.tokenizers import tokenizer_of

    return torch.tensor(tokenizer_of(layout_of(folder))([PROMPT, NEGATIVE]))


def _picture(bundle: Bundle) -> Tensor:
    import torch

    from models.jobs import txt2img
    from models.pixels import to_rgb_bytes
    from models.recipe import Recipe, Sampler
    from models.run import run

    recipe = Recipe(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        sampler=Sampler.DDIM,
        steps=STEPS,
        guidance_scale=GUIDANCE,
        seed=SEED,
        width=SIDE,
        height=SIDE,
    )
    return torch.frombuffer(bytearray(to_rgb_bytes(run(txt2img(recipe, bundle), bundle))), dtype=torch.uint8)


def _inputs() -> tuple[Tensor, Tensor]:
    """Latents and pixels that both sides are given."""
    import torch

    generator = torch.Generator("cpu").manual_seed(SEED)
    latents = torch.randn((1, 4, SIDE // 8, SIDE // 8), generator=generator)
    return latents, torch.rand((1, 3, SIDE, SIDE), generator=generator) * 2 - 1
