"""Load a checkpoint in the diffusers folder layout. `facts.py` says what one is without loading it.

Networks are built without memory and take their tensors from the files as they are; every tensor must be wanted, be
there, and have its shape. Pickles are never opened. Convolutions lie in memory with their channels last, which on a
CPU saved 15 to 25 % of the embedded model's U-Net and VAE in float32.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.bundle import Bundle
from models.checkpoint.facts import (
    TEXT_WEIGHTS,
    UNET_WEIGHTS,
    VAE_WEIGHTS,
    CheckpointError,
    CheckpointFacts,
    Layout,
    check_weights,
    inspect,
    read_json,
)
from models.schedule import Schedule
from models.text import CLIP_VOCABULARY, EOS, CompactVocabulary, TextTower, Tokenizer, build_text_model
from models.unet import UNet
from models.vae import VAE

__all__ = ["CheckpointError", "CheckpointFacts", "inspect", "load"]

OPEN_CLIP_PAD = 0  # the token "!"
OLD_VAE_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
NAMED = 3  # tensors that an error message names

State = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


def load(path: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Bundle:
    """Load a checkpoint folder onto a device. Raises `CheckpointError`, which names the file and the remedy."""
    files = Layout(Path(path))
    config, device = files.config, torch.device(device)
    unet = _network(lambda: UNet(files.unet), files.path / UNET_WEIGHTS, device, dtype)
    vae = _network(lambda: VAE(files.vae), files.path / VAE_WEIGHTS, device, dtype, rename=_new_vae_keys)
    return Bundle(
        name=files.name,
        config=config,
        schedule=_schedule(files),
        unet=unet,
        vae=vae,
        text=_text_tower(files, device, dtype),
        device=device,
        dtype=dtype,
        fingerprint=_sha256(files.path / UNET_WEIGHTS),
        defaults=files.defaults,
        preview_factors=files.card.preview.model_dump() if files.card.preview else None,
        examples=files.card.examples,
        vocabulary=files.card.words,
    )


def _network(
    build: Callable[[], Network],
    file: Path,
    device: torch.device,
    dtype: torch.dtype,
    *,
    rename: Callable[[State], State] = dict,
) -> Network:
    with torch.device("meta"):
        network = build()
    state = rename(_read(file))
    _compare(file, wanted=network.state_dict(), found=state)
    network.load_state_dict(state, assign=True)
    network.to(device, dtype).train(False).requires_grad_(False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _read(file: Path) -> State:
    check_weights(file)
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}); copy or download it again") from error


def _compare(file: Path, *, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise `CheckpointError` unless both have the same tensors of the same shapes."""
    missing = [key for key in wanted if key not in found]
    extra = [key for key in found if key not in wanted]
    shapes = [
        f"{key} is {tuple(found[key].shape)} and not {tuple(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in found and found[key].shape != tensor.shape
    ]
    problems = ((missing, "lacks"), (extra, "has unknown"), (shapes, "has other shapes:"))
    text = "; ".join(f"{verb} {_some(names)}" for names, verb in problems if names)
    if text:
        raise CheckpointError(f"{file} does not fit the config.json beside it ({text}); take both from one checkpoint")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _schedule(files: Layout) -> Schedule:
    try:
        return Schedule.from_config(files.scheduler)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{files.path / 'scheduler/scheduler_config.json'}: {error}") from error


def _text_tower(files: Layout, device: torch.device, dtype: torch.dtype) -> TextTower:
    config = files.text_encoder
    tokenizer = Tokenizer(
        max_tokens=files.config.max_tokens, pad=_pad(files), vocabulary=_compact_vocabulary(files.path)
    )
    rows = int(config.get("vocab_size", CLIP_VOCABULARY))
    expected = len(tokenizer.vocabulary.ids) if tokenizer.vocabulary else CLIP_VOCABULARY
    if rows < expected or (rows > expected and tokenizer.vocabulary is None):
        raise CheckpointError(
            f"{files.path / 'text_encoder/config.json'} has a vocab_size of {rows}, its tokenizer {expected} tokens; "
            "only CLIP's vocabulary, or a part of it listed in tokenizer/vocab_ids.json, is supported"
        )
    model = _network(lambda: build_text_model(config), files.path / TEXT_WEIGHTS, device, dtype, rename=_new_text_keys)
    return TextTower(model, tokenizer)


def _compact_vocabulary(path: Path) -> CompactVocabulary | None:
    file = path / "tokenizer/vocab_ids.json"
    if not file.is_file():
        return None
    try:
        return CompactVocabulary.from_dict(read_json(file))
    except ValueError as error:
        raise CheckpointError(f"{file}: {error}") from error


def _pad(files: Layout) -> int:
    """The padding token that the tokenizer's files name; without one, what the family of the text encoder uses."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        file = files.path / "tokenizer" / name
        token = read_json(file).get("pad_token") if file.is_file() else None
        text = token.get("content") if isinstance(token, dict) else token
        if text is not None:
            return OPEN_CLIP_PAD if text == "!" else EOS
    return EOS if files.text_encoder.get("hidden_act", "quick_gelu") == "quick_gelu" else OPEN_CLIP_PAD


def _new_text_keys(state: State) -> State:
    """Bring the keys of 2022 to 2025 to those that transformers 5 writes."""
    renamed = {key.removeprefix("text_model."): tensor for key, tensor in state.items()}
    renamed.pop("embeddings.position_ids", None)
    return renamed


def _new_vae_keys(state: State) -> State:
    """Bring the attention's keys of the Stable Diffusion 1 files to today's."""
    old = re.compile(r"(mid_block\.attentions\.0\.)(query|key|value|proj_attn)(?=\.)")
    return {old.sub(lambda match: match[1] + OLD_VAE_ATTENTION[match[2]], key): tensor for key, tensor in state.items()}


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
