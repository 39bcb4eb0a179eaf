"""The form of the studio as a value: what its fields hold, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any

from fastapi import Request

from app.services import prompts
from app.services.catalogue import Catalogue
from app.services.edit_request import SETTINGS, fields_of
from app.services.errors import InvalidInput, ServiceError
from app.services.prompts import PromptNotes
from app.services.request import HIRES, JobRequest
from app.web.dependencies import EngineStatus
from app.web.templating import number
from models.checkpoint.facts import CheckpointFacts
from models.edit import Edit
from models.recipe import Recipe, Scheduler

ASPECTS = {"Square": (1, 1), "Photo": (3, 2), "Portrait": (2, 3), "Wide": (16, 9), "Tall": (9, 16)}
ICON = 20.0  # units of the longer side of an aspect's drawing, in a box of 24
MAX_FIELDS = 48
FIELDS = (
    *("prompt", "negative_prompt", "steps", "guidance_scale", "guidance_rescale", "sampler", "eta"),
    *("guidance_start", "guidance_end"),
    *("seed", "keep_seed", "width", "height", "count", "checkpoint", "scheduler"),
    *("subseed", "subseed_strength", "clip_skip", "tiling", *HIRES),
)
ADVANCED = (
    "guidance_rescale",
    "guidance_start",
    "guidance_end",
    "subseed",
    "subseed_strength",
    "clip_skip",
    "tiling",
    *HIRES,
)
EDIT_FIELDS = ("image", "mask", "frame", *SETTINGS)


@dataclass(frozen=True, slots=True)
class Aspect:
    """A size with about as many pixels as the checkpoint likes, and its outline in a box of 24 by 24."""

    name: str
    width: int
    height: int

    @property
    def w(self) -> float:
        return round(ICON * min(1, self.width / self.height), 1)

    @property
    def h(self) -> float:
        return round(ICON * min(1, self.height / self.width), 1)

    @property
    def x(self) -> float:
        return round((24 - self.w) / 2, 1)

    @property
    def y(self) -> float:
        return round((24 - self.h) / 2, 1)


@dataclass(frozen=True, slots=True)
class RecipeForm:
    """`values` and `errors` by the name of the field; an error under another name concerns the whole form.

    `failed` says of checkpoints that could not be loaded why, by their names.
    """

    values: Mapping[str, str]
    checkpoint: CheckpointFacts
    checkpoints: Sequence[CheckpointFacts]
    errors: Mapping[str, str] = field(default_factory=dict)
    notes: PromptNotes = field(default_factory=PromptNotes)
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def aspects(self) -> list[Aspect]:
        return aspects(self.checkpoint.width, self.checkpoint.height)

    @property
    def is_advanced(self) -> bool:
        """Whether what is folded away matters: something in it is wrong, or not as it usually is."""
        usual = {"subseed_strength": ("", "0"), "clip_skip": ("", "1"), "tiling": ("",), "hires_scale": ("",)}
        usual |= {"guidance_start": ("", "0"), "guidance_end": ("", "1")}
        is_unusual = any(self.values[name] not in values for name, values in usual.items())
        return is_unusual or any(name in self.errors for name in ADVANCED)

    @property
    def other_errors(self) -> list[str]:
        return [f"{name}: {message}" for name, message in self.errors.items() if name not in {*self.values, "size"}]


def aspects(width: int, height: int) -> list[Aspect]:
    """Return the sizes to offer for a checkpoint whose native size is this."""
    grain = 64 if min(width, height) >= 512 else 16
    sides = {
        name: (sqrt(width * height * across / down), sqrt(width * height * down / across))
        for name, (across, down) in ASPECTS.items()
    }
    return [Aspect(name, _round(wide, grain), _round(high, grain)) for name, (wide, high) in sides.items()]


def _round(side: float, grain: int) -> int:
    return max(64, min(2048, round(side / grain) * grain))


def blank(catalogue: Catalogue, *, checkpoint: str | None = None, **given: str) -> RecipeForm:
    """Return the form with a checkpoint's defaults and what is given."""
    facts, errors = _facts(catalogue, checkpoint)
    own = catalogue.default_request(facts.name)
    values = {
        "prompt": "",
        "negative_prompt": "",
        "steps": str(own.steps),
        "guidance_scale": number(own.guidance_scale),
        "guidance_rescale": number(own.guidance_rescale),
        "guidance_start": "0",
        "guidance_end": "1",
        "sampler": own.sampler,
        "scheduler": Scheduler.NORMAL.value,
        "eta": "0",
        "seed": "",
        "keep_seed": "",
        "subseed": "",
        "subseed_strength": "0",
        "clip_skip": "1",
        "tiling": "",
        "hires_scale": "",
        "hires_upscaler": "latent",
        "hires_strength": "0.7",
        "hires_steps": "",
        "width": str(own.width),
        "height": str(own.height),
        "count": "1",
        "checkpoint": facts.name,
    }
    return _form(catalogue, facts, {**values, **dict.fromkeys(EDIT_FIELDS, ""), **given}, errors)


def of_recipe(catalogue: Catalogue, recipe: Recipe, *, with_seed: bool = True) -> RecipeForm:
    """Return the form that makes this recipe again; its seed is kept only `with_seed`."""
    fields = recipe.model_dump(mode="json", exclude={"checkpoint", "seed", "subseed", "edit", "hires"})
    given = _texts(fields) | _edit_fields(recipe.edit)
    if recipe.hires is not None:
        given |= {f"hires_{name}": text for name, text in _texts(recipe.hires.model_dump(mode="json")).items()}
    if with_seed:
        given |= {"seed": str(recipe.seed), "keep_seed": "1", **_texts({"subseed": recipe.subseed})}
    return blank(catalogue, checkpoint=recipe.checkpoint, **given)


def restored(catalogue: Catalogue, fields: Mapping[str, str]) -> RecipeForm:
    """Return the form with what a picture said of how it was made, its seed kept."""
    given = {name: value for name, value in fields.items() if name != "checkpoint"}
    kept = {"keep_seed": "1"} if "seed" in given else {}
    return blank(catalogue, checkpoint=fields.get("checkpoint"), **given, **kept)


def returned(catalogue: Catalogue, fields: Mapping[str, str], errors: Sequence[Mapping[str, Any]] = ()) -> RecipeForm:
    """Return the form as it was sent, with what is wrong with it."""
    facts, unusable = _facts(catalogue, fields.get("checkpoint") or None)
    start = blank(catalogue, checkpoint=facts.name)
    values = {name: fields.get(name, value if name != "keep_seed" else "") for name, value in start.values.items()}
    found = {str(error["field"]): str(error["message"]) for error in errors}
    return _form(catalogue, facts, {**values, "checkpoint": facts.name}, {**unusable, **found})


def with_failures(form: RecipeForm, engine: EngineStatus) -> RecipeForm:
    """Return the form with what the engine could not load, so that it offers none of that."""
    failed = {item["name"]: item["error"] for item in engine.checkpoints if item["state"] == "failed"}
    chosen = {"checkpoint": failed[form.checkpoint.name]} if form.checkpoint.name in failed else {}
    return replace(form, failed=failed, errors={**chosen, **form.errors})


def request_of(fields: Mapping[str, str]) -> JobRequest:
    """Return what the form asks for; the settings of a second pass count only with its scale. Raises `InvalidInput`."""
    left_out = {"keep_seed", *(() if fields.get("hires_scale", "").strip() else HIRES)}
    return JobRequest.from_form({name: value for name, value in fields.items() if name not in left_out})


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    """What fields hold as a form holds it: nothing for what is absent or off."""
    words = {None: "", False: "", True: "true"}
    return {
        name: words[value] if value is None or isinstance(value, bool) else number(value)
        for name, value in fields.items()
    }


def _edit_fields(edit: Edit | None) -> dict[str, str]:
    if edit is None:
        return {}
    words = {False: "false", True: "true"}  # off is said too: it is not what is usual of all of them
    fields = fields_of(edit).items()
    return {name: words[value] if isinstance(value, bool) else number(value) for name, value in fields}


async def form_fields(request: Request) -> dict[str, str]:
    """Return the text fields of a posted form; files are refused."""
    async with request.form(max_files=0, max_fields=MAX_FIELDS) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def _facts(catalogue: Catalogue, name: str | None) -> tuple[CheckpointFacts, dict[str, str]]:
    try:
        return catalogue.get(name), {}
    except InvalidInput as error:
        return _some_facts(catalogue), {"checkpoint": str(error.errors[0]["message"])}
    except ServiceError:  # the default cannot be used, or is still on its way; the page says so
        return _some_facts(catalogue), {}


def _some_facts(catalogue: Catalogue) -> CheckpointFacts:
    """The default's, or those of another that can be used. Raises `ServiceError` if there is none."""
    try:
        return catalogue.default
    except ServiceError:
        if found := catalogue.checkpoints():
            return found[0]
        raise


def _form(
    catalogue: Catalogue, facts: CheckpointFacts, values: Mapping[str, str], errors: Mapping[str, str]
) -> RecipeForm:
    return RecipeForm(
        values=values,
        checkpoint=facts,
        checkpoints=catalogue.checkpoints(),
        errors=errors,
        notes=prompts.notes(catalogue, facts.name, values["prompt"]),
    )
