"""What a reader of metadata finds, in our words, before anybody asks what this server makes of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Value = str | int | float | bool
MAX_JSON = 4 * 2**20  # characters
MAX_UNKNOWN = 200
MAX_SHOWN = 200  # characters of a value that we do not know

# The names that readers may give. Those that a request has too mean the same there; `checkpoint_hash`, `loras` and the
# raw names of samplers and schedules are for whoever fills the form.
TEXTS = (
    "prompt",
    "negative_prompt",
    "sampler",
    "scheduler",
    "checkpoint",
    "checkpoint_hash",
    "loras",
    "hires_upscaler",
)
WHOLE = ("steps", "seed", "subseed", "width", "height", "clip_skip", "hires_steps", "mask_blur", "padding")
REAL = (
    "guidance_scale",
    "guidance_rescale",
    "guidance_start",
    "guidance_end",
    "eta",
    "subseed_strength",
    "strength",
    "hires_scale",
    "hires_strength",
)


@dataclass
class Found:
    """`values` by our names; `unknown` holds, as text, what the file says under names that we do not know."""

    program: str
    values: dict[str, Value] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, raw: object, *, known_as: str | None = None) -> None:
        """Keep `raw` under our name `name`; what is of another type goes to the unknown, under the file's own name."""
        if raw is None or raw == "":
            return
        value = _typed(name, clean(raw) if isinstance(raw, str) else raw)
        if value is None:
            self.miss(known_as or name, raw)
        else:
            self.values[name] = value

    def miss(self, name: str, raw: object) -> None:
        """Keep what we do not know, as far as a person would read it."""
        if len(self.unknown) >= MAX_UNKNOWN:
            return
        try:
            text = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
        except RecursionError:  # of what was read at the very depth that can be
            text = "…"
        self.unknown[clean(str(name)[:MAX_SHOWN])] = clean(text[:MAX_SHOWN])


def clean(text: str) -> str:
    """The text without the halves of characters that JSON can say and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


def _typed(name: str, raw: object) -> Value | None:
    if name in TEXTS:
        return raw if isinstance(raw, str) else None
    if isinstance(raw, bool):
        return None if name in (*WHOLE, *REAL) else raw
    try:
        if name in WHOLE:
            return _whole(raw)
        if name in REAL:
            return _real(raw)
    except (ValueError, OverflowError):
        return None
    return None if not isinstance(raw, str) else {"true": True, "false": False}.get(raw.lower())


def _real(raw: object) -> float | None:
    value = float(raw) if isinstance(raw, int | float | str) else None
    return value if value is not None and math.isfinite(value) else None


def _whole(raw: object) -> int | None:
    if isinstance(raw, int):
        return raw
    if isinstance(raw, float):
        return int(raw) if raw.is_integer() else None
    return int(raw) if isinstance(raw, str) and len(raw) <= 20 else None


def load_object(text: object) -> dict[str, Any] | None:
    """Return the JSON object in `text`, None if it is anything else, too long or too deep."""
    if isinstance(text, dict):
        return text
    if not isinstance(text, str) or len(text) > MAX_JSON or not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def take_all(found: Found, given: Mapping[str, Any], names: Mapping[str, str], ignored: frozenset[str]) -> None:
    """Take what `names` maps to our names; the rest, but for `ignored`, is unknown."""
    for key, raw in given.items():
        if key in names:
            found.take(names[key], raw, known_as=key)
        elif key not in ignored and raw not in (None, "", [], {}):
            found.miss(key, raw)
