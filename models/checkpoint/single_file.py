"""A checkpoint in one file, in the original layout of CompVis and Stability: three networks, told apart by prefixes.

Beside `NAME.safetensors` may lie `NAME.yaml` (the original configuration) and `NAME.mezzotint.json` (the card).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from models.checkpoint import kinds, shapes
from models.checkpoint.card import Card, read_card
from models.checkpoint.headers import AGAIN, CheckpointError, Header, Slot, read_header
from models.checkpoint.keys import KeyMap, unet_keys, vae_keys
from models.checkpoint.layout import MAX_LAYERS, NATIVE_SIDE, Layout, Part, Slots, check_text, flattened, named_once
from models.config import UNetConfig, VAEConfig

UNET, VAE = "model.diffusion_model.", "first_stage_model."
CLIP, OPEN_CLIP = "cond_stage_model.transformer.", "cond_stage_model.model."
PREFIXES: Mapping[Part, tuple[str, ...]] = {"unet": (UNET,), "vae": (VAE,), "text_encoder": (CLIP, OPEN_CLIP)}
UNUSED = {"embeddings.position_ids", "text_projection", "text_projection.weight", "logit_scale", "attn_mask"}
UNUSED_VAE = ("loss.", "model_ema.")
V_SIDE = 768  # pixels; the native side of Stable Diffusion 2 where it predicts v
BETAS = {"linear_start": 0.00085, "linear_end": 0.012}
V_MARK = "v_pred"  # an empty tensor that newer trainers leave in v-predicting files
SCHEDULE = {
    "_class_name": "DDIMScheduler",
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "clip_sample": False,
}

Described = TypeVar("Described")


class SingleFile(Layout):
    """See `Layout`. Raises `CheckpointError` at once for a file that is something else, saying what."""

    places: ClassVar[Mapping[Part, str]] = {"unet": "the U-Net", "vae": "the VAE", "text_encoder": "the text encoder"}
    scheduler_place: ClassVar[str] = "the noise schedule"
    fitting = "Stable Diffusion 1 or 2 ({problems}); take another file, or copy or download it again"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: Header = read_header(path)
        if problem := kinds.problem(path, self.header.slots):
            raise CheckpointError(problem)

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def card(self) -> Card:
        return read_card(self.path.with_name(f"{self.path.stem}.mezzotint.json"))

    @cached_property
    def settings(self) -> Mapping[str, str]:
        """What the original configuration beside the file says."""
        return shapes.read_yaml(self.path.with_suffix(".yaml"))

    @cached_property
    def unet(self) -> UNetConfig:
        return self._described("unet", lambda slots: UNetConfig.from_dict(shapes.unet_config(slots, self.settings)))

    @cached_property
    def vae(self) -> VAEConfig:
        return self._described("vae", lambda slots: VAEConfig.from_dict(shapes.vae_config(slots, self.settings)))

    @cached_property
    def text_encoder(self) -> Mapping[str, Any]:
        config = self._described("text_encoder", shapes.open_clip_config if self.has_open_clip else shapes.clip_config)
        if not 1 <= config["num_hidden_layers"] <= MAX_LAYERS:
            raise CheckpointError(f"{self.path} has no whole text encoder; {AGAIN}")
        check_text(f"{self.path}: {self.places['text_encoder']}", config)
        return config

    @cached_property
    def has_open_clip(self) -> bool:
        """Whether its text encoder is in open_clip's form, as in Stable Diffusion 2."""
        return any(key.startswith(OPEN_CLIP) for key in self.header.slots)

    @cached_property
    def scheduler(self) -> Mapping[str, Any]:
        try:
            start, end = (float(self.settings.get(key, default)) for key, default in BETAS.items())
        except ValueError as error:
            raise CheckpointError(f"{self.path.with_suffix('.yaml')}: {error}") from error
        return SCHEDULE | {
            "beta_start": start,
            "beta_end": end,
            "prediction_type": self.prediction_type or "epsilon",
            "rescale_betas_zero_snr": "ztsnr" in self.header.slots,
        }

    @cached_property
    def prediction_type(self) -> str | None:
        if self.card.prediction_type:
            return self.card.prediction_type
        if "parameterization" in self.settings:
            return "v_prediction" if self.settings["parameterization"] == "v" else "epsilon"
        noted = str(self.header.metadata.get("modelspec.prediction_type", "")).lower()
        if noted.startswith("v") or V_MARK in self.header.slots:
            return "v_prediction"
        is_second = self.unet.use_linear_projection and self.unet.in_channels == self.unet.out_channels
        return None if is_second and noted != "epsilon" else "epsilon"

    @property
    def missing(self) -> list[str]:
        return ["scheduler", "tokenizer"]

    @cached_property
    def ignored(self) -> list[str]:
        used = {slot.key for part in PREFIXES for slot in self.weights(part).values()}
        return [key for key in self.header.slots if key not in used]

    def weights(self, part: Part) -> Slots:
        found = self._weights.get(part)
        if found is None:
            found = self._weights[part] = self._mapped(part)
        return found

    def files(self, part: Part) -> list[Path]:  # noqa: ARG002
        return [self.path]

    def _native(self) -> tuple[int, int]:
        side = V_SIDE if self.unet.use_linear_projection and self.prediction_type != "epsilon" else NATIVE_SIDE
        is_inpainting = self.unet.in_channels != self.unet.out_channels
        return (NATIVE_SIDE, NATIVE_SIDE) if is_inpainting else (side, side)

    @cached_property
    def _parts(self) -> dict[Part, Slots]:
        return {}

    @cached_property
    def _weights(self) -> dict[Part, Slots]:
        return {}

    def _mapped(self, part: Part) -> Slots:
        slots = self._stripped(part)
        match part:
            case "unet":
                return self._renamed(slots, unet_keys(self.unet))
            case "vae":
                used = {key: slot for key, slot in slots.items() if not key.startswith(UNUSED_VAE)}
                named = self._renamed(used, vae_keys(self.vae))
                return {key: flattened(slot) if ".attentions." in key else slot for key, slot in named.items()}
            case "text_encoder":
                unused = f"transformer.resblocks.{self.text_encoder['num_hidden_layers']}."
                return {
                    key: slot
                    for key, slot in slots.items()
                    if key not in UNUSED and not (self.has_open_clip and key.startswith(unused))
                }

    def _stripped(self, part: Part) -> Mapping[str, Slot]:
        """The tensors of a network, without its prefix. CLIP's are also found without `text_model.`"""
        if part not in self._parts:
            found = [
                (key.removeprefix(prefix).removeprefix("text_model."), slot)
                for prefix in PREFIXES[part]
                for key, slot in self.header.slots.items()
                if key.startswith(prefix)
            ]
            self._parts[part] = named_once(self.path, found)
        return self._parts[part]

    def _renamed(self, slots: Mapping[str, Slot], keys: KeyMap) -> Slots:
        """Rename what the table knows. What it does not keeps its name, so that the comparison at loading names it."""
        return named_once(self.path, ((keys.rename(key) or key, slot) for key, slot in slots.items()))

    def _described(self, part: Part, describe: Callable[[Mapping[str, Slot]], Described]) -> Described:
        try:
            return describe(self._stripped(part))
        except KeyError as error:
            prefix = next(iter(PREFIXES[part]))
            raise CheckpointError(
                f"{self.path} lacks {prefix}{error.args[0]}, so it is not a whole Stable Diffusion 1 or 2; {AGAIN}"
            ) from error
        except (IndexError, ValueError) as error:
            raise CheckpointError(
                f"{self.path} has tensors of other shapes than Stable Diffusion 1 or 2 ({error}); take another file"
            ) from error
