"""AUTOMATIC1111's `parameters` text, written and read. Written from its documented grammar:

    <prompt>
    Negative prompt: <text>
    Steps: 20, Sampler: DDIM, CFG scale: 7.0, Seed: 1, Size: 512x512, ...

Readers differ: some need `Steps:` to begin a line that is not the first, some split at every comma, some take the first
line that begins so. The text cannot carry a prompt of which a line looks like settings; our own JSON can.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from app.metadata.found import Found, clean
from models.edit import Edit, Hires, MaskedContent
from models.recipe import Recipe, Sampler, Scheduler
from models.sampler_names import SAMPLERS, SCHEDULERS

NEGATIVE = "Negative prompt: "
MIN_SETTINGS = 3  # fewer on the last line are part of the prompt
MAX_LINE = 20_000  # characters; longer ones are no settings
SETTING = re.compile(r'(\w[\w \-/]{0,60}):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
MASKED_CONTENT = {
    MaskedContent.FILL: "fill",
    MaskedContent.LATENT_NOISE: "latent noise",
    MaskedContent.LATENT_NOTHING: "latent nothing",
}
NAMES = {
    "Steps": "steps",
    "Sampler": "sampler",
    "Schedule type": "scheduler",
    "CFG scale": "guidance_scale",
    "CFG rescale": "guidance_rescale",
    "Skip Early CFG": "guidance_start",
    "CFG end": "guidance_end",
    "Seed": "seed",
    "Model hash": "checkpoint_hash",
    "Model": "checkpoint",
    "Variation seed": "subseed",
    "Variation seed strength": "subseed_strength",
    "Denoising strength": "strength",
    "Clip skip": "clip_skip",
    "Tiling": "tiling",
    "Eta DDIM": "eta",
    "Eta": "eta",
    "Hires upscale": "hires_scale",
    "Hires steps": "hires_steps",
    "Hires upscaler": "hires_upscaler",
    "Mask blur": "mask_blur",
    "Masked area padding": "padding",
    "Lora hashes": "loras",
}
UNSAID = {
    "Clip skip": "1",
    "Schedule type": "Automatic",
    "RNG": "GPU",
    "Mask mode": "Inpaint masked",
    "Masked content": "original",
    "Inpaint area": "Whole picture",
    "Masked area padding": "32",
}
SAID_ELSEWHERE = frozenset({"Size", "RNG", "Version", "App", "Hashes", "Masked content", "Inpaint area"})


def parameters(recipe: Recipe, environment: Mapping[str, Any]) -> str:
    """Return the text that A1111's family, Civitai and others read: prompt, negative prompt, one line of settings."""
    settings: dict[str, Any] = {
        "Steps": recipe.steps,
        "Sampler": SAMPLERS[recipe.sampler].label,
        "Schedule type": SCHEDULERS[recipe.scheduler].label if recipe.scheduler is not Scheduler.NORMAL else None,
        "CFG scale": recipe.guidance_scale,
        "Seed": recipe.seed,
        "Size": f"{recipe.width}x{recipe.height}",
        "Model hash": str(environment.get("model_sha256") or "")[:10] or None,
        "Model": environment.get("checkpoint") or recipe.checkpoint,
        **_variation(recipe),
        **_edit(recipe.edit),
        "Clip skip": recipe.clip_skip if recipe.clip_skip > 1 else None,
        "RNG": "CPU",
        "Tiling": True if recipe.tiling else None,
        **_hires(recipe.hires),
        "Eta DDIM": recipe.eta if recipe.sampler is Sampler.DDIM and recipe.eta else None,
        "CFG rescale": recipe.guidance_rescale or None,
        "Skip Early CFG": recipe.guidance_start or None,
        "CFG end": recipe.guidance_end if recipe.guidance_end < 1 else None,
        "Version": f"Mezzotint {environment.get('version', '')}".strip(),
    }
    line = ", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items() if value is not None)
    negative = [f"{NEGATIVE}{recipe.negative_prompt}"] if recipe.negative_prompt else []
    return "\n".join([recipe.prompt, *negative, line])


def extras(recipe: Recipe) -> dict[str, Any]:
    """Return what A1111 calls extra parameters: those of an edit or of a second pass."""
    return {key: value for key, value in {**_edit(recipe.edit), **_hires(recipe.hires)}.items() if value is not None}


def parsed(text: str) -> dict[str, str]:
    """Return the text under A1111's own names, with what its reader takes for granted where nothing is said."""
    apart = _apart(text)
    if apart is None:
        return {}
    prompt, settings = apart
    positive, negative = _prompts(prompt)
    said = {"Prompt": positive, "Negative prompt": negative}
    for key, value in settings.items():
        sides = SIZE.fullmatch(value)
        said |= {f"{key}-1": sides[1], f"{key}-2": sides[2]} if sides else {key: value}
    return {**UNSAID, **said}


def read(text: str) -> Found | None:
    """Return what the text says, None if its last line holds no settings."""
    apart = _apart(text)
    if apart is None:
        return None
    prompt, settings = apart
    found = Found(_program(settings))
    positive, negative = _prompts(prompt)
    found.take("prompt", positive)
    found.take("negative_prompt", negative)
    for key, value in settings.items():
        if key in NAMES:
            found.take(NAMES[key], value, known_as=key)
        elif key not in SAID_ELSEWHERE:
            found.miss(key, value)
    _take_size(found, settings.get("Size", ""))
    _take_hires_strength(found)
    return found


def _apart(text: str) -> tuple[str, dict[str, str]] | None:
    """Return the prompts, and the settings of the last line; None if there are none."""
    prompt, _, line = text.strip().rpartition("\n")
    pairs = SETTING.findall(line) if len(line) <= MAX_LINE else []
    settings = {key.strip(): _unquoted(value.strip()) for key, value in pairs}
    if len(pairs) < MIN_SETTINGS or not {"Steps", "Seed", "Sampler", "CFG scale"} & settings.keys():
        return None
    return prompt, settings


def _variation(recipe: Recipe) -> dict[str, Any]:
    if recipe.subseed is None or not recipe.subseed_strength:
        return {}
    return {"Variation seed": recipe.subseed, "Variation seed strength": recipe.subseed_strength}


def _edit(edit: Edit | None) -> dict[str, Any]:
    if edit is None:
        return {}
    inpainting = {
        "Mask blur": edit.mask_blur,
        "Masked content": MASKED_CONTENT.get(edit.masked_content),
        "Inpaint area": "Only masked" if edit.only_masked else None,
        "Masked area padding": edit.padding if edit.only_masked else None,
    }
    return {"Denoising strength": edit.strength, **(inpainting if edit.mask else {})}


def _hires(hires: Hires | None) -> dict[str, Any]:
    if hires is None:
        return {}
    return {
        "Denoising strength": hires.strength,
        "Hires upscale": hires.scale,
        "Hires steps": hires.steps,
        "Hires upscaler": hires.upscaler.capitalize(),
    }


def _prompts(text: str) -> tuple[str, str]:
    """Split at the last line that begins the negative prompt; it may have several lines."""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if line.startswith(NEGATIVE.strip())]
    if not starts:
        return text.strip(), ""
    negative = "\n".join(lines[starts[-1] :]).removeprefix(NEGATIVE.strip())
    return "\n".join(lines[: starts[-1]]).strip(), negative.strip()


def _program(settings: Mapping[str, str]) -> str:
    version = settings.get("Version", "")
    for name in ("Mezzotint", "Fooocus"):
        if version.startswith(name):
            return name
    if settings.get("App") == "SD.Next":
        return "SD.Next"
    return "Forge" if version.startswith("f") else "AUTOMATIC1111"


def _take_size(found: Found, size: str) -> None:
    sides = SIZE.fullmatch(size)
    if sides:
        found.take("width", sides[1])
        found.take("height", sides[2])
    elif size:
        found.miss("Size", size)


def _take_hires_strength(found: Found) -> None:
    """The text has one denoising strength; where there was a second pass it is that one's."""
    if "hires_scale" in found.values and "strength" in found.values:
        found.values["hires_strength"] = found.values.pop("strength")


def _quoted(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ',:"\n') else text


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return clean(str(json.loads(value)))
    except ValueError:
        return value
