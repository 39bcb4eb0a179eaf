"""What every checkpoint says of itself, whatever its layout: `diffusers_folder.py` and `single_file.py` read theirs.

Everything is read at first use, from JSON files and headers alone, and everything may raise `CheckpointError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from models.checkpoint.card import Card
from models.checkpoint.headers import AGAIN, CheckpointError, Slot
from models.checkpoint.wanted import CLIP
from models.config import BundleConfig, UNetConfig, VAEConfig

Part = Literal["unet", "vae", "text_encoder"]
Slots = Mapping[str, Slot]

PARTS: tuple[Part, ...] = ("unet", "vae", "text_encoder")
MAX_TOKENS = 77
NATIVE_SIDE = 512  # of Stable Diffusion 1, where nothing gives a size
FAMILIES = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2"}  # by width of the text context
OTHER_FAMILY = "Custom"
CLIP_VOCABULARY = 49408
MAX_LAYERS = 64  # of one kind in a row; Stable Diffusion's networks have 2, its text encoders 24


class Layout(ABC):
    """A checkpoint on disk. `prediction_type` is None where nothing says it, so that only a trial can tell."""

    places: ClassVar[Mapping[Part, str]]  # what says how each network is shaped, for messages
    scheduler_place: ClassVar[str]  # and how the noise is scheduled
    fitting: ClassVar[str]  # what its tensors must fit, for a message about their {problems}
    path: Path

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def card(self) -> Card: ...

    @property
    @abstractmethod
    def unet(self) -> UNetConfig: ...

    @property
    @abstractmethod
    def vae(self) -> VAEConfig: ...

    @property
    @abstractmethod
    def text_encoder(self) -> Mapping[str, Any]:
        """The configuration of the text encoder, as transformers' `CLIPTextConfig` has it."""

    @property
    @abstractmethod
    def scheduler(self) -> Mapping[str, Any]:
        """The configuration of the noise schedule, as diffusers' `scheduler_config.json` has it."""

    @property
    @abstractmethod
    def prediction_type(self) -> str | None: ...

    @property
    @abstractmethod
    def missing(self) -> list[str]:
        """Files that are not there, in whose place those of the family are taken."""

    @property
    @abstractmethod
    def ignored(self) -> list[str]:
        """Tensors that no network of ours asks for."""

    @abstractmethod
    def weights(self, part: Part) -> Slots:
        """Where the tensors of a network lie, by the names that our networks give them."""

    @abstractmethod
    def files(self, part: Part) -> list[Path]:
        """The files of the weights of a network."""

    @abstractmethod
    def _native(self) -> tuple[int, int]:
        """Width and height in pixels."""

    @cached_property
    def config(self) -> BundleConfig:
        """The shapes that a job must know, once those of the networks are found to agree."""
        unet, vae = self.unet, self.vae
        self._agree(unet, vae)
        width, height = self._native()
        return BundleConfig(
            latent_channels=vae.latent_channels,
            unet_in_channels=unet.in_channels,
            vae_factor=vae.factor,
            width=width,
            height=height,
            context_width=unet.cross_attention_dim,
            max_tokens=int(self.text_encoder.get("max_position_embeddings", MAX_TOKENS)),
        )

    @property
    def family(self) -> str:
        return FAMILIES.get(self.unet.cross_attention_dim, OTHER_FAMILY)

    @property
    def defaults(self) -> dict[str, Any]:
        """The card's defaults, with the native size where it gives none."""
        own = self.card.defaults.model_dump(mode="json", exclude_none=True)
        return {"width": self.config.width, "height": self.config.height} | own

    @property
    def dtypes(self) -> list[str]:
        """The number formats of the weights, as safetensors calls them."""
        return sorted({slot.dtype for part in PARTS for slot in self.weights(part).values()})

    @property
    def warnings(self) -> list[str]:
        """What the owner should know, though it can be used."""
        found = []
        if self.prediction_type is None:
            found.append(
                "Nothing says whether this checkpoint predicts the noise (epsilon) or v; it is tried out when it is "
                f"loaded, and its pictures are {self.config.width} pixels wide, as where it predicts v. "
                f'To settle both, write {{"prediction_type": "v_prediction"}} (or "epsilon") into '
                f"{self.path.with_suffix('.mezzotint.json').name}."
            )
        extra = self.extra_tokens
        if extra > 0:
            found.append(f"Its {extra} tokens beyond CLIP's vocabulary cannot be asked for.")
        return found

    @property
    def extra_tokens(self) -> int:
        return int(self.text_encoder.get("vocab_size", CLIP_VOCABULARY)) - CLIP_VOCABULARY

    def _agree(self, unet: UNetConfig, vae: VAEConfig) -> None:
        if unet.out_channels != vae.latent_channels:
            raise CheckpointError(
                f"{self.path}: {self.places['unet']} gives {unet.out_channels} out_channels, {self.places['vae']} "
                f"{vae.latent_channels} latent_channels; the two must come from the same checkpoint"
            )
        latents, inputs = vae.latent_channels, unet.in_channels
        if inputs not in (latents, 2 * latents + 1):
            raise CheckpointError(
                f"{self.path}: {self.places['unet']} gives {inputs} in_channels; for text they are {latents}, for "
                f"inpainting {2 * latents + 1}; others (depth, upscaling) are not built: take another checkpoint"
            )
        width = self.text_encoder.get("hidden_size", 512)
        if width != unet.cross_attention_dim:
            raise CheckpointError(
                f"{self.path}: {self.places['text_encoder']} gives a hidden_size of {width}, {self.places['unet']} a "
                f"cross_attention_dim of {unet.cross_attention_dim}; the two must come from the same checkpoint"
            )


def check_text(place: str, config: Mapping[str, Any]) -> None:
    """Raise `CheckpointError` for a text encoder's configuration with which transformers could not build its model."""
    for key in CLIP:
        value = config.get(key, 1)
        if type(value) is not int or value < 1:
            raise CheckpointError(f"{place}: {key} must be a positive whole number, not {value!r}")
    if config.get("hidden_act", "quick_gelu") not in ("quick_gelu", "gelu"):
        raise CheckpointError(f"{place}: hidden_act is {config['hidden_act']!r}; known are quick_gelu and gelu")
    width, heads = config.get("hidden_size", 512), config.get("num_attention_heads", 8)
    if width % heads:
        raise CheckpointError(f"{place}: num_attention_heads {heads} does not divide the hidden_size {width}")


def named_once(file: Path, slots: Iterable[tuple[str, Slot]]) -> dict[str, Slot]:
    """Return the slots by name. Raises `CheckpointError` where two tensors would take the same place."""
    found: dict[str, Slot] = {}
    for name, slot in slots:
        if name in found:
            raise CheckpointError(
                f"{file} holds both {found[name].key} and {slot.key}, which are the same tensor; {AGAIN}"
            )
        found[name] = slot
    return found


def flattened(slot: Slot) -> Slot:
    """Turn the weight of a 1x1 convolution into that of the linear layer that it is."""
    is_convolution = len(slot.shape) == 4 and slot.shape[2:] == (1, 1)
    return replace(slot, shape=slot.shape[:2]) if is_convolution else slot
