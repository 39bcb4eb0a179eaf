"""Stable Diffusion 1.5 and 2.1 in full size, with random weights: loading, and agreement with diffusers.

Everything happens in processes of their own, one after another, so that neither side's memory is the other's. Takes
about ten minutes on two cores, 5 GB of disk and 8 GB of memory; needs the tools of the tests (diffusers).
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.bench import Figure
from app.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from models.bundle import Bundle

SIDE = 256  # pixels
STEPS = 4
SEED = 7
GUIDANCE = 7.5
PROMPT, NEGATIVE = "a cabin under snowy mountains", "fog"
TIMESTEP = 501

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
    """Write each checkpoint in float16, ask diffusers, then load it and ask ourselves, in float32 on the CPU."""
    try:
        import diffusers  # noqa: F401
    except ImportError as error:
        raise RuntimeError(
            "it compares with diffusers, which the tests bring: python3 -m app test --version"
        ) from error
    for name in CONFIGS:
        with tempfile.TemporaryDirectory(prefix="mezzotint-parity-") as base:
            folder = Path(base) / "checkpoint"
            _apart(write, name, folder)
            _apart(ask_diffusers, name, folder)
            for figure in _apart(ask_us, name, folder):
                yield Figure(f"{name}: {figure[0]}", *figure[1:])


def _apart(work: Callable[[str, Path], Any], name: str, folder: Path) -> Any:
    """Do something in a fresh process, whose memory is all given back."""
    with multiprocessing.get_context("spawn").Pool(1, initializer=_prepare) as pool:
        return pool.apply(work, (name, folder))


def _prepare() -> None:
    from app.engine.threads import set_threads
    from models.torchvision_guard import declare_missing_operators

    declare_missing_operators()
    set_threads()


def write(name: str, folder: Path) -> None:
    """Write a checkpoint of random weights as diffusers does, in float16."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CONFIGS[name]
    torch.manual_seed(0)
    makers: dict[str, Callable[[], Any]] = {
        "unet": lambda: UNet2DConditionModel(**config["unet"]),
        "vae": lambda: AutoencoderKL(**VAE),
        "text_encoder": lambda: CLIPTextModel(CLIPTextConfig(**config["text"])),
    }
    for part, make in makers.items():
        make().half().save_pretrained(folder / part)
    DDIMScheduler(**SCHEDULE, **config["schedule"]).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))


def ask_diffusers(_name: str, folder: Path) -> None:
    """Write what diffusers and transformers make of the checkpoint beside it."""
    import numpy as np
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

    from models.checkpoint.facts import layout_of
    from models.checkpoint.tokenizers import tokenizer_of

    float32 = {"torch_dtype": torch.float32}
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(folder / "vae", **float32),
        text_encoder=None,
        tokenizer=None,
        unet=UNet2DConditionModel.from_pretrained(folder / "unet", **float32),
        scheduler=DDIMScheduler.from_pretrained(folder / "scheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    with torch.inference_mode():
        ids = torch.tensor(tokenizer_of(layout_of(folder))([PROMPT, NEGATIVE]))
        states = text(ids).last_hidden_state
        latents, pixels = _inputs()
        found = {
            "text states": states,
            "one U-Net call": pipeline.unet(latents, TIMESTEP, states[:1]).sample,
            "encoding by the VAE": pipeline.vae.encode(pixels).latent_dist.mode() * pipeline.vae.config.scaling_factor,
            "decoding by the VAE": pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample,
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


def ask_us(_name: str, folder: Path) -> list[tuple[str, float, str]]:
    """Load the checkpoint, which the other process has left in the page cache, and compare."""
    import torch
    import transformers.models.clip.modeling_clip  # noqa: F401

    from models.calls import Decode, Encode, EncodeImage, Predict
    from models.checkpoint.loading import load

    before, began = _resident(), time.perf_counter()
    bundle = load(folder)
    seconds, peak = time.perf_counter() - began, _peak() - before
    figures = [("load of a page-cached float16 folder", seconds, "s"), ("peak memory of it", peak / bundle.bytes, "x")]
    theirs = torch.load(folder.parent / "theirs.pt", weights_only=True)
    latents, pixels = _inputs()
    states = torch.stack(bundle.answer([Encode(PROMPT), Encode(NEGATIVE)]))
    ours: dict[str, Tensor] = {
        "text states": states,
        "one U-Net call": bundle.answer([Predict(latents, float(TIMESTEP), (theirs["text states"][0],), 0, 1)])[0],
        "encoding by the VAE": bundle.answer([EncodeImage(pixels)])[0],
        "decoding by the VAE": bundle.answer([Decode(latents)])[0],
    }
    for what, tensor in ours.items():
        error = float((tensor - theirs[what]).norm() / theirs[what].norm())
        figures.append((f"{what}, relative L2 x 1e6", error * 1e6, ""))
    began = time.perf_counter()
    image = _picture(bundle)
    figures.append((f"picture, {SIDE} px, {STEPS} steps", time.perf_counter() - began, "s"))
    figures.append(("largest difference in it", float((image.int() - theirs["image"].int()).abs().max()), "of 255"))
    return figures


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


def _resident() -> int:
    """Bytes that this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    import resource

    return pages * resource.getpagesize()


def _peak() -> int:
    """Bytes that this process has had in memory at most."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
