"""What a checkpoint in the diffusers folder layout is, from its JSON files and safetensors headers alone.

Imports no torch, so that the web process can list checkpoints. `folder.py` loads the networks. The optional file
`mezzotint.json` says what only the maker of a checkpoint knows: defaults, examples, words, preview colours.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.config import BundleConfig, ConfigError, UNetConfig, VAEConfig
from models.edit import Side
from models.recipe import MAX_STEPS, Sampler, explain

UNET_WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
VAE_WEIGHTS = "vae/diffusion_pytorch_model.safetensors"
TEXT_WEIGHTS = "text_encoder/model.safetensors"
WEIGHTS = (UNET_WEIGHTS, VAE_WEIGHTS, TEXT_WEIGHTS)
PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth")
MAX_HEADER = 100_000_000  # bytes; safetensors' own limit
MAX_TOKENS = 77
NATIVE_SIDE = 512  # of Stable Diffusion 1, where the U-Net's config has no sample_size
FAMILIES = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2"}  # by width of the text context
OTHER_FAMILY = "Custom"
PIPELINES = ("StableDiffusionPipeline", "StableDiffusionInpaintPipeline", "StableDiffusionImg2ImgPipeline")


class CheckpointError(Exception):
    """A checkpoint cannot be used. The message names the file and the remedy."""


class Defaults(BaseModel):
    """What a request to a checkpoint gets where it does not say otherwise."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    width: Side | None = None
    height: Side | None = None
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 20
    guidance_scale: Annotated[float, Field(ge=1, le=30)] = 7.5
    guidance_rescale: Annotated[float, Field(ge=0, le=1)] = 0.0
    sampler: Sampler = Sampler.DDIM


class PreviewFactors(BaseModel):
    """A linear map from latents to colours: a row of `weight` for each latent channel, one `bias` for each colour."""

    weight: list[list[float]]
    bias: list[float]


class Card(BaseModel):
    """The content of `mezzotint.json`."""

    title: str = ""
    defaults: Defaults = Defaults()
    preview: PreviewFactors | None = None
    examples: list[str] = []
    words: dict[str, list[str]] = {}
    grammar_words: list[str] = []


class CheckpointFacts(BaseModel):
    """What the user sees of a checkpoint. `words` groups what a small model knows; empty means no such limit.

    `width` and `height` are the native size; every size must be a multiple of `size_multiple`.
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


def inspect(path: Path | str) -> CheckpointFacts:
    """Say what lies at `path`. Raises `CheckpointError` for anything but a whole checkpoint of a known kind."""
    files = Layout(Path(path))
    sizes = [check_weights(files.path / name) for name in WEIGHTS]
    config, card = files.config, files.card
    return CheckpointFacts(
        name=files.name,
        title=card.title or files.name,
        path=str(path),
        family=FAMILIES.get(config.context_width, OTHER_FAMILY),
        latent_channels=config.latent_channels,
        width=config.width,
        height=config.height,
        size_multiple=config.vae_factor,
        defaults=files.defaults,
        examples=card.examples,
        words=card.words,
        grammar_words=card.grammar_words,
        prediction_type=str(files.scheduler.get("prediction_type", "epsilon")),
        inpainting=config.unet_in_channels != config.latent_channels,
        bytes=sum(sizes),
    )


@dataclass(frozen=True)
class Layout:
    """The JSON files of a checkpoint folder, each read at first use. Every property may raise `CheckpointError`."""

    path: Path

    def __post_init__(self) -> None:
        if self.path.is_file():
            raise CheckpointError(f"{self.path} is a file; give the folder that holds model_index.json")
        if not (self.path / "model_index.json").is_file():
            raise CheckpointError(
                f"{self.path / 'model_index.json'} is missing; give the path of a checkpoint in the diffusers folder "
                "layout (model_index.json, unet, vae, text_encoder, tokenizer, scheduler)"
            )
        pipeline = read_json(self.path / "model_index.json").get("_class_name", PIPELINES[0])
        if pipeline not in PIPELINES:
            raise CheckpointError(
                f"{self.path / 'model_index.json'} is for a {pipeline}, which is not supported; use a checkpoint of "
                "Stable Diffusion 1 or 2"
            )

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @cached_property
    def unet(self) -> UNetConfig:
        file = self.path / "unet/config.json"
        try:
            return UNetConfig.from_dict(read_json(file))
        except ConfigError as error:
            raise CheckpointError(f"{file}: {error}") from error

    @cached_property
    def vae(self) -> VAEConfig:
        file = self.path / "vae/config.json"
        try:
            return VAEConfig.from_dict(read_json(file))
        except ConfigError as error:
            raise CheckpointError(f"{file}: {error}") from error

    @cached_property
    def text_encoder(self) -> Mapping[str, Any]:
        return read_json(self.path / "text_encoder/config.json")

    @cached_property
    def scheduler(self) -> Mapping[str, Any]:
        return read_json(self.path / "scheduler/scheduler_config.json")

    @cached_property
    def card(self) -> Card:
        file = self.path / "mezzotint.json"
        if not file.is_file():
            return Card()
        try:
            return Card.model_validate(read_json(file))
        except ValidationError as error:
            problem = explain(error)[0]
            raise CheckpointError(f"{file}: {problem['field']}: {problem['message']}") from error

    @cached_property
    def config(self) -> BundleConfig:
        """The shapes that a job must know, once those of the networks are found to agree."""
        unet, vae, factor = self.unet, self.vae, self.vae.factor
        if unet.out_channels != vae.latent_channels:
            raise CheckpointError(
                f"{self.path}: unet/config.json gives {unet.out_channels} out_channels, vae/config.json "
                f"{vae.latent_channels} latent_channels; the two must come from the same checkpoint"
            )
        width = self.text_encoder.get("hidden_size", 512)
        if width != unet.cross_attention_dim:
            raise CheckpointError(
                f"{self.path}: text_encoder/config.json gives a hidden_size of {width}, unet/config.json a "
                f"cross_attention_dim of {unet.cross_attention_dim}; the two must come from the same checkpoint"
            )
        height_width = unet.sample_size or (NATIVE_SIDE // factor, NATIVE_SIDE // factor)
        return BundleConfig(
            latent_channels=vae.latent_channels,
            unet_in_channels=unet.in_channels,
            vae_factor=factor,
            width=height_width[1] * factor,
            height=height_width[0] * factor,
            context_width=unet.cross_attention_dim,
            max_tokens=int(self.text_encoder.get("max_position_embeddings", MAX_TOKENS)),
        )

    @property
    def defaults(self) -> dict[str, Any]:
        """The card's defaults, with the native size where it gives none."""
        own = self.card.defaults.model_dump(mode="json", exclude_none=True)
        return {"width": self.config.width, "height": self.config.height} | own


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object. Raises `CheckpointError` if the file is missing or is none."""
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{file} is missing; copy or download the checkpoint again, whole") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read as JSON ({error}); copy or download it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file} must hold a JSON object; copy or download it again")
    return content


def check_weights(file: Path) -> int:
    """Return the size in bytes of a safetensors file. Raises `CheckpointError` if it is missing or not whole."""
    if not file.is_file():
        raise CheckpointError(_missing(file))
    size = file.stat().st_size
    promised = _promised_size(file, size)
    if size != promised:
        raise CheckpointError(
            f"{file} is truncated or damaged: it has {size:,} bytes where its header promises {promised:,}; "
            "copy or download it again"
        )
    return size


def _missing(file: Path) -> str:
    pickles = [path.name for pattern in PICKLES for path in sorted(file.parent.glob(pattern))]
    if pickles:
        return (
            f"{file.parent / pickles[0]} is a pickle, which can run any code and is never opened; "
            f"convert it to {file.name}"
        )
    others = [path.name for path in sorted(file.parent.glob("*.safetensors"))]
    found = f" (found {', '.join(others[:3])}: rename the one to use)" if others else ""
    return f"{file} is missing{found}; copy or download the checkpoint again, whole"


def _promised_size(file: Path, size: int) -> int:
    """The size that the header of a safetensors file promises: 8 bytes, the header, the tensors."""
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else math.inf
        if length > min(MAX_HEADER, size - 8):
            raise CheckpointError(f"{file} is truncated or no safetensors file; copy or download it again")
        header = stream.read(int(length))
    try:
        tensors = json.loads(header)
        ends = [int(entry["data_offsets"][1]) for name, entry in tensors.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise CheckpointError(f"{file} has a damaged header; copy or download it again") from None
    return 8 + int(length) + max(ends, default=0)
