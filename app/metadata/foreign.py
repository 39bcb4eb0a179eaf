"""The JSON that SwarmUI, InvokeAI, NovelAI and Fooocus put into their files, in our words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from app.metadata.found import Found, load_object, take_all

PAIR = re.compile(r"(\d{1,5})\D{1,5}(\d{1,5})")

SWARM = {
    "prompt": "prompt",
    "negativeprompt": "negative_prompt",
    "model": "checkpoint",
    "seed": "seed",
    "steps": "steps",
    "cfgscale": "guidance_scale",
    "width": "width",
    "height": "height",
    "sampler": "sampler",
    "scheduler": "scheduler",
    "variationseed": "subseed",
    "variationseedstrength": "subseed_strength",
    "initimagecreativity": "strength",
    "seamlesstileable": "tiling",
}
SWARM_QUIET = frozenset({"swarm_version", "aspectratio", "images", "automaticvae", "rawprompt"})

INVOKE = {
    "positive_prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "width": "width",
    "height": "height",
    "seed": "seed",
    "steps": "steps",
    "cfg_scale": "guidance_scale",
    "cfg_rescale_multiplier": "guidance_rescale",
    "scheduler": "sampler",
    "strength": "strength",
}
INVOKE_QUIET = frozenset(
    {"model", "clip_skip", "app_version", "generation_mode", "rand_device", "positive_style_prompt"}
)
INVOKE_OLD = {
    "steps": "steps",
    "cfg_scale": "guidance_scale",
    "width": "width",
    "height": "height",
    "sampler": "sampler",
    "seed": "seed",
    "strength": "strength",
}

NOVELAI = {
    "prompt": "prompt",
    "uc": "negative_prompt",
    "steps": "steps",
    "width": "width",
    "height": "height",
    "scale": "guidance_scale",
    "cfg_rescale": "guidance_rescale",
    "seed": "seed",
    "sampler": "sampler",
    "noise_schedule": "scheduler",
    "strength": "strength",
}
NOVELAI_QUIET = frozenset({"n_samples", "request_type", "signed_hash", "version", "v4_prompt", "v4_negative_prompt"})

FOOOCUS = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "steps": "steps",
    "guidance_scale": "guidance_scale",
    "base_model": "checkpoint",
    "base_model_hash": "checkpoint_hash",
    "sampler": "sampler",
    "scheduler": "scheduler",
    "seed": "seed",
    "clip_skip": "clip_skip",
}
FOOOCUS_QUIET = frozenset(
    {"resolution", "version", "metadata_scheme", "full_prompt", "full_negative_prompt", "performance", "created_by"}
)


def swarm(own: Mapping[str, Any]) -> Found | None:
    """SwarmUI: one object under `sui_image_params`."""
    given = own.get("sui_image_params")
    if not isinstance(given, dict):
        return None
    found = Found("SwarmUI")
    take_all(found, given, SWARM, SWARM_QUIET)
    return found


def invoke(own: Mapping[str, Any]) -> Found | None:
    """InvokeAI from version 3 on: `invokeai_metadata`."""
    found = Found("InvokeAI")
    take_all(found, own, INVOKE, INVOKE_QUIET)
    model = own.get("model")
    if isinstance(model, dict):
        found.take("checkpoint", model.get("name") or model.get("model_name"), known_as="model")
    skipped = own.get("clip_skip")
    if isinstance(skipped, int) and not isinstance(skipped, bool) and skipped > 0:
        found.take("clip_skip", skipped + 1)  # theirs counts the layers left out
    return found if found.values else None


def invoke_old(own: Mapping[str, Any]) -> Found | None:
    """InvokeAI 2: `sd-metadata`, with the settings under `image`."""
    image = own.get("image")
    if not isinstance(image, dict):
        return None
    found = Found("InvokeAI")
    prompt = image.get("prompt")
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], dict):
        prompt = prompt[0].get("prompt")
    found.take("prompt", prompt)
    take_all(found, image, INVOKE_OLD, frozenset({"prompt", "type"}))
    found.take("checkpoint", own.get("model_weights"), known_as="model_weights")
    found.take("checkpoint_hash", own.get("model_hash"), known_as="model_hash")
    return found


def novelai(comment: Mapping[str, Any], description: str) -> Found | None:
    """NovelAI: settings in `Comment`, the prompt there or in `Description`."""
    found = Found("NovelAI")
    found.take("prompt", description)
    take_all(found, comment, NOVELAI, NOVELAI_QUIET)
    return found if "steps" in found.values else None


def fooocus(own: Mapping[str, Any]) -> Found | None:
    """Fooocus: its own scheme, which is JSON; sizes are text such as `(1152, 896)`."""
    if not {"base_model", "full_prompt", "metadata_scheme", "adm_guidance"} & own.keys():
        return None
    found = Found("Fooocus")
    take_all(found, own, FOOOCUS, FOOOCUS_QUIET)
    sides = PAIR.search(str(own.get("resolution", ""))[:40])
    if sides:
        found.take("width", sides[1])
        found.take("height", sides[2])
    return found


SNIFFERS: tuple[Callable[[Mapping[str, Any]], Found | None], ...] = (swarm, fooocus)


def sniff(text: str) -> Found | None:
    """Return what a JSON object says whose program must be guessed from its keys."""
    own = load_object(text)
    if own is None:
        return None
    for reader in SNIFFERS:
        found = reader(own)
        if found is not None:
            return found
    return None
