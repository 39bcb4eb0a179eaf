"""What a picture says about how it was made, and what of that this server can do: restored, unknown, impossible."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from app.metadata.found import Found, Value
from app.metadata.read import Reading, read
from app.metadata.xmp import COMPOSITE, TRAINED
from app.services import client_options
from app.services.catalogue import Catalogue
from app.services.edit_request import fields_of
from app.services.errors import InvalidInput
from app.services.request import JobRequest
from models.checkpoint.facts import CheckpointFacts
from models.edit import Edit
from models.recipe import Recipe, explain
from models.sampler_names import SAMPLERS, SCHEDULERS, scheduler_of, split

OURS = "Mezzotint"
ENDING = re.compile(r"\.(safetensors|ckpt|sft|gguf)$", re.IGNORECASE)
FOLDER = re.compile(r"^.*[\\/]")
OFF: Mapping[str, Value] = {"tiling": False, "subseed_strength": 0, "clip_skip": 1}  # nothing to restore
FROM_A_PICTURE = ("strength", "mask_blur", "padding")
MARKS = {
    TRAINED: "It is marked as made by a model.",
    COMPOSITE: "It is marked as changed by a model.",
}
PLACEHOLDER = "x"  # so that one field can be checked without the others


@dataclass
class Inspection:
    """`restored` are fields of a request as text, `unknown` the file's own words, `impossible` says why not.

    `program` is None where the picture says nothing of how it was made.
    """

    program: str | None
    kind: str
    width: int
    height: int
    mark: str | None
    text: str
    restored: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    impossible: dict[str, str] = field(default_factory=dict)


def inspect(catalogue: Catalogue, content: bytes, is_kept: Callable[[str], bool] = lambda _sha256: False) -> Inspection:
    """Say what a PNG, JPEG or WebP file tells. Raises `InvalidInput` for any other file.

    `is_kept` says of the SHA-256 of a file that an edit began from whether whoever asks may begin from it again.
    """
    reading = read(content)
    if reading is None:
        raise InvalidInput([{"field": "file", "message": "This is no PNG, JPEG or WebP file."}])
    found = Inspection(
        _program(reading),
        reading.kind,
        reading.width,
        reading.height,
        MARKS.get(reading.source_type or ""),
        reading.text,
    )
    if reading.recipe is not None:
        _take(catalogue, found, _of_recipe(found, reading.recipe, is_kept))
    elif reading.found is not None:
        found.unknown.update(reading.found.unknown)
        _take(catalogue, found, _of_found(found, reading.found))
    return found


def _program(reading: Reading) -> str | None:
    if reading.recipe is not None:
        return OURS
    return reading.found.program if reading.found else None


def _of_recipe(found: Inspection, recipe: Recipe, is_kept: Callable[[str], bool]) -> dict[str, Any]:
    fields = recipe.model_dump(mode="json", exclude={"edit", "hires"}, exclude_none=True)
    if recipe.edit is not None:
        lacking = [named for named, sha256 in _inputs(recipe.edit).items() if not is_kept(sha256)]
        if lacking:
            found.impossible["edit"] = f"The {' and the '.join(lacking)} that it was made from cannot be found here."
        else:
            fields |= fields_of(recipe.edit)
    if recipe.hires is not None:
        hires = recipe.hires.model_dump(mode="json", exclude_none=True)
        fields |= {f"hires_{name}": value for name, value in hires.items()}
    return fields


def _inputs(edit: Edit) -> dict[str, str]:
    files = {"picture": edit.image, "mask": edit.mask}
    return {named: sha256 for named, sha256 in files.items() if sha256 is not None}


def _of_found(found: Inspection, told: Found) -> dict[str, Any]:
    """The values of a foreign file, with its names of samplers and schedules turned into ours."""
    values: dict[str, Any] = dict(told.values)
    if any(name in values for name in FROM_A_PICTURE):
        found.impossible["strength"] = "It was made from another picture, which is not in this file."
        values = {name: value for name, value in values.items() if name not in FROM_A_PICTURE}
    if loras := values.pop("loras", None):
        found.impossible["loras"] = f"LoRAs are not loaded here: {loras}"
    if upscaler := values.pop("hires_upscaler", None):
        values["hires_upscaler"] = "latent" if str(upscaler).lower().startswith("latent") else "lanczos"
    _take_sampling(found, values)
    return values


def _take_sampling(found: Inspection, values: dict[str, Any]) -> None:
    sampler, scheduler = values.pop("sampler", None), values.pop("scheduler", None)
    chosen = split(str(sampler)) if sampler else None
    if chosen:
        values["sampler"] = chosen[0].value
        if chosen[1]:
            values["scheduler"] = chosen[1].value
    elif sampler:
        offered = ", ".join(name.label for name in SAMPLERS.values())
        found.impossible["sampler"] = f"There is no {sampler!r} here; there is: {offered}."
    known = scheduler_of(str(scheduler)) if scheduler else None
    if known:
        values["scheduler"] = known.value
    elif scheduler:
        offered = ", ".join(name.label for name in SCHEDULERS.values())
        found.impossible["scheduler"] = f"There is no {scheduler!r} here; there is: {offered}."


def _take(catalogue: Catalogue, found: Inspection, values: Mapping[str, Any]) -> None:
    """Restore each value that a request may have; say of the others why not."""
    named, digest = values.get("checkpoint"), values.get("checkpoint_hash")
    if named or digest:
        facts = _checkpoint(catalogue, str(named or ""), str(digest or ""))
        if facts is None:
            found.impossible["checkpoint"] = f"{named or digest} is not here; the default is used."
        else:
            found.restored["checkpoint"] = facts.name
    for name, value in values.items():
        if name in ("checkpoint", "checkpoint_hash") or (name in OFF and value == OFF[name]):
            continue
        problem = _problem(name, value)
        if problem:
            found.impossible[name] = problem
        else:
            found.restored[name] = _text(value)


def _problem(name: str, value: Value) -> str | None:
    if name not in JobRequest.model_fields:
        return f"{_text(value)}: this cannot be asked for here."
    try:
        JobRequest.model_validate({"prompt": PLACEHOLDER, name: value})
    except ValidationError as error:
        return f"{_text(value)[:80]}: {explain(error)[0]['message']}"
    return None


def _checkpoint(catalogue: Catalogue, name: str, digest: str) -> CheckpointFacts | None:
    """The checkpoint of this hash, else of this name, whatever folder and ending it has in the file."""
    offered = catalogue.checkpoints()
    for facts in offered:
        if digest and (client_options.short_hash(facts) or "-") == digest.lower()[: client_options.SHORT_HASH]:
            return facts
    plain = ENDING.sub("", FOLDER.sub("", name)).lower()
    same = (facts for facts in offered if plain and plain in (facts.name.lower(), facts.title.lower()))
    return next(same, None)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
