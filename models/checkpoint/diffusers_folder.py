"""A checkpoint in the folder layout of diffusers: a JSON file for each network, its weights beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from models.checkpoint.card import Card, read_card, read_json
from models.checkpoint.headers import AGAIN, CheckpointError, missing, pickle_in, pickled, read_header
from models.checkpoint.keys import old_vae_keys
from models.checkpoint.layout import (
    MAX_LAYERS,
    NATIVE_SIDE,
    PARTS,
    Layout,
    Part,
    Slots,
    check_text,
    flattened,
    named_once,
)
from models.config import ConfigError, UNetConfig, VAEConfig

STEMS: Mapping[Part, str] = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
}
VARIANTS = ("fp16", "bf16", "fp32")
PIPELINES = ("StableDiffusionPipeline", "StableDiffusionInpaintPipeline", "StableDiffusionImg2ImgPipeline")
VAE_ATTENTION = re.compile(r"(encoder|decoder)\.mid_block\.attentions\.0\.to_(q|k|v|out\.0)\.weight")
UNUSED_TEXT = ("embeddings.position_ids", "text_projection.weight")
TOKENIZER_FILES = ("vocab_ids.json", "tokenizer.json", "vocab.json")
SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*\.safetensors")
OLD_VAE_KEYS = old_vae_keys()

Config = TypeVar("Config", UNetConfig, VAEConfig)


class DiffusersFolder(Layout):
    """See `Layout`. What a `config.json` leaves out has the value that diffusers gave it when there was no such key."""

    places: ClassVar[Mapping[Part, str]] = {part: f"{part}/config.json" for part in PARTS}
    scheduler_place: ClassVar[str] = "scheduler/scheduler_config.json"
    fitting = "the config.json beside it ({problems}); take both from one checkpoint"

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / "model_index.json").is_file():
            raise CheckpointError(_no_index(path))
        pipeline = read_json(path / "model_index.json").get("_class_name", PIPELINES[0])
        if pipeline not in PIPELINES:
            raise CheckpointError(
                f"{path / 'model_index.json'} is for a {pipeline}, which is not supported; use a checkpoint of "
                "Stable Diffusion 1 or 2"
            )

    @property
    def name(self) -> str:
        return Path(os.path.realpath(self.path)).name

    @cached_property
    def card(self) -> Card:
        return read_card(self.path / "mezzotint.json")

    @cached_property
    def unet(self) -> UNetConfig:
        return self._config("unet", UNetConfig)

    @cached_property
    def vae(self) -> VAEConfig:
        return self._config("vae", VAEConfig)

    @cached_property
    def text_encoder(self) -> Mapping[str, Any]:
        file = self.path / "text_encoder/config.json"
        config = read_json(file)
        _bound(file, config)
        check_text(str(file), config)
        return config

    @cached_property
    def scheduler(self) -> Mapping[str, Any]:
        return read_json(self.path / "scheduler/scheduler_config.json")

    @property
    def prediction_type(self) -> str:
        return self.card.prediction_type or str(self.scheduler.get("prediction_type", "epsilon"))

    @property
    def missing(self) -> list[str]:
        has_tokenizer = any((self.path / "tokenizer" / name).is_file() for name in TOKENIZER_FILES)
        return [] if has_tokenizer else ["tokenizer"]

    @property
    def ignored(self) -> list[str]:
        return [key for key in self._own("text_encoder") if key in UNUSED_TEXT]

    def weights(self, part: Part) -> Slots:
        slots = self._own(part)
        if part == "vae":
            return {key: flattened(slot) if VAE_ATTENTION.fullmatch(key) else slot for key, slot in slots.items()}
        return {key: slot for key, slot in slots.items() if part == "unet" or key not in UNUSED_TEXT}

    def files(self, part: Part) -> list[Path]:
        if found := self._safetensors(part):
            return found
        pickles = {
            other: pickle
            for other in PARTS
            if not self._safetensors(other) and (pickle := pickle_in(self.path / other)) is not None
        }
        if part in pickles:
            raise CheckpointError(pickled(*pickles.values()))
        raise CheckpointError(missing(self.path / part / f"{STEMS[part]}.safetensors"))

    def _safetensors(self, part: Part) -> list[Path]:
        folder, stem = self.path / part, STEMS[part]
        whole = [folder / f"{stem}.safetensors", *(folder / f"{stem}.{name}.safetensors" for name in VARIANTS)]
        lists = [
            folder / f"{stem}.safetensors.index.json",
            *(folder / f"{stem}.safetensors.index.{name}.json" for name in VARIANTS),
        ]
        for file, index in zip(whole, lists, strict=True):
            if file.is_file():
                return [file]
            if index.is_file():
                return _shards(index)
        return []

    def _native(self) -> tuple[int, int]:
        factor = self.vae.factor
        height, width = self.unet.sample_size or (NATIVE_SIDE // factor, NATIVE_SIDE // factor)
        return width * factor, height * factor

    def _own(self, part: Part) -> Slots:
        found = self._slots.get(part)
        if found is None:
            files = self.files(part)
            slots = ((key, slot) for file in files for key, slot in read_header(file).slots.items())
            found = self._slots[part] = named_once(files[0], ((_rename(part, key), slot) for key, slot in slots))
        return found

    @cached_property
    def _slots(self) -> dict[Part, Slots]:
        return {}

    def _config(self, part: Part, kind: type[Config]) -> Config:
        file = self.path / part / "config.json"
        content = read_json(file)
        _bound(file, content)
        try:
            return kind.from_dict(content)
        except ConfigError as error:
            raise CheckpointError(f"{file}: {error}") from error


def _rename(part: Part, key: str) -> str:
    match part:
        case "unet":
            return key
        case "vae":
            return OLD_VAE_KEYS.rename(key) or key
        case "text_encoder":
            return key.removeprefix("text_model.")


def _shards(index: Path) -> list[Path]:
    places = read_json(index).get("weight_map")
    names = set(places.values()) if isinstance(places, dict) else set()
    if not names or not all(isinstance(name, str) and SHARD.fullmatch(name) for name in names):
        raise CheckpointError(f"{index} must have a weight_map of .safetensors names without folders; {AGAIN}")
    return [index.parent / name for name in sorted(cast(set[str], names))]


def _bound(file: Path, config: Mapping[str, Any]) -> None:
    """Refuse counts of layers with which building a network would not end."""
    for key in ("layers_per_block", "transformer_layers_per_block", "num_hidden_layers", "block_out_channels"):
        value = config.get(key)
        counts = [len(value), *value] if isinstance(value, list) and key != "block_out_channels" else [value]
        if key == "block_out_channels" and isinstance(value, list):
            counts = [len(value)]
        if any(type(number) is int and number > MAX_LAYERS for number in counts):
            raise CheckpointError(f"{file}: {key} asks for more than {MAX_LAYERS} layers; {AGAIN}")


def _no_index(path: Path) -> str:
    """Say that a folder is none, and what in it may have been meant."""
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else []
    if files:
        return (
            f"{path / 'model_index.json'} is missing, so the folder is no checkpoint; to use a single file in it, give "
            f"its path: {files[0]}"
        )
    return (
        f"{path / 'model_index.json'} is missing; give the path of a checkpoint in the diffusers folder "
        "layout (model_index.json, unet, vae, text_encoder, tokenizer, scheduler), or of a single .safetensors file"
    )
