"""What a user asks for, before a checkpoint's defaults and the seeds of its images are filled in."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from app.services.catalogue import Catalogue
from app.services.edit_request import EditFields
from app.services.errors import InvalidInput
from app.services.prompts import check_prompts
from models.edit import Edit, Hires, Side
from models.recipe import (
    MAX_CLIP_SKIP,
    MAX_ENLARGED,
    MAX_SEED,
    MAX_STEPS,
    Prompt,
    Recipe,
    Sampler,
    Scheduler,
    explain,
)
from models.sampler_names import scheduler_of, split

if TYPE_CHECKING:
    from models.checkpoint.facts import CheckpointFacts

HIRES = ("hires_scale", "hires_upscaler", "hires_strength", "hires_steps")
MAX_COUNT = 8
MAX_NAME = 100
RANDOM_SEEDS = 2**32  # short enough to be read out, and what other programs accept


def _sampler_name(name: str) -> str:
    """Bring the name of a sampler, and of a scheduler if it says one, to ours."""
    parts = split(name)
    if parts is None:
        message = f"Must be {', '.join(Sampler)}, or a name that other programs have for one of these."
        raise PydanticCustomError("sampler", message)
    return " ".join(part for part in parts if part)


def _scheduler(name: Any) -> Any:
    return (isinstance(name, str) and scheduler_of(name)) or name


SaidPrompt = Annotated[Prompt, StringConstraints(min_length=1)]  # a recipe may have none; who asks says one
SamplerName = Annotated[
    str,
    StringConstraints(max_length=MAX_NAME),
    AfterValidator(_sampler_name),
    WithJsonSchema({"type": "string", "enum": list(Sampler)}),
]
SchedulerName = Annotated[Scheduler, Field(strict=False), BeforeValidator(_scheduler)]


class JobRequest(EditFields):
    """One to eight images of one prompt. What is left out is the checkpoint's default; seed -1 draws one.

    Numbers must be numbers; a form, whose values are all text, goes through `from_form`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    prompt: SaidPrompt
    negative_prompt: Prompt = ""
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    guidance_scale: Annotated[float, Field(ge=1, le=30)] | None = None
    guidance_rescale: Annotated[float, Field(ge=0, le=1)] | None = None
    guidance_start: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Guide only from this share of the steps on: faster, and another picture."
    )
    guidance_end: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="Guide only until this share of the steps: faster, and another picture."
    )
    sampler: SamplerName | None = Field(
        None,
        description="The names of other programs are understood too: `Euler a`, `k_euler`. One may say the scheduler "
        "as well: `DPM++ 2M Karras`.",
    )
    scheduler: SchedulerName | None = Field(
        None, description="How the noise levels are spread over the steps; as the checkpoint's file says if left out."
    )
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: Annotated[int, Field(ge=-1, le=MAX_SEED)] = -1
    subseed: Annotated[int, Field(ge=-1, le=MAX_SEED)] = Field(
        -1, description="The seed of a second noise; counts nothing at a `subseed_strength` of 0."
    )
    subseed_strength: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="How far the noise is turned towards that of `subseed`; then subseeds follow each other."
    )
    clip_skip: Annotated[int, Field(ge=1, le=MAX_CLIP_SKIP)] = Field(
        1, description="1 takes the text encoder's last layer, 2 the one before."
    )
    tiling: bool = Field(False, description="Whether opposite edges fit each other.")
    hires_scale: Annotated[float, Field(gt=1, le=4)] | None = Field(
        None, description="Enlarge the picture by this factor afterwards, and denoise it anew."
    )
    hires_upscaler: Literal["latent", "lanczos"] | None = Field(None, description="`latent` if left out.")
    hires_strength: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="The share of the steps that the second pass takes; 0.7 if left out."
    )
    hires_steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = Field(
        None, description="Of the second pass; as many as of the first if left out."
    )
    width: Side | None = None
    height: Side | None = None
    count: Annotated[int, Field(ge=1, le=MAX_COUNT)] = 1
    checkpoint: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None

    @classmethod
    def from_form(cls, fields: dict[str, str]) -> JobRequest:
        """Read the fields of a form; an empty one counts as left out. Raises `InvalidInput`."""
        filled = {name: value for name, value in fields.items() if value.strip()}
        try:
            return cls.model_validate_strings(filled)
        except ValidationError as error:
            raise InvalidInput(explain(error)) from error

    def body_hash(self) -> str:
        """A hash by which two requests that ask for the same are known."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def recipes(self, catalogue: Catalogue, edit: Edit | None = None) -> list[Recipe]:
        """One recipe for each image, with seeds that follow each other; `edit` is what they begin from.

        Raises `InvalidInput`.
        """
        defaults = catalogue.default_request(self.checkpoint)
        left_out = {"count", "seed", "subseed", "checkpoint", *HIRES, *EditFields.model_fields}
        given = self.model_dump(exclude=left_out, exclude_none=True)
        frame = edit.frame if edit else None
        fields: dict[str, Any] = {
            "steps": defaults.steps,
            "guidance_scale": defaults.guidance_scale,
            "guidance_rescale": defaults.guidance_rescale,
            "sampler": defaults.sampler,
            "width": frame.width if frame else defaults.width,
            "height": frame.height if frame else defaults.height,
            **given,
            **self._sampling(),
            "edit": edit,
            "checkpoint": defaults.checkpoint,
            "seed": _drawn(self.seed),
            "subseed": _drawn(self.subseed) if self.subseed_strength else None,
        }
        if self.guidance_start >= self.guidance_end:
            message = f"Guiding would end, at {self.guidance_end:g}, before it begins; lower this, or raise that."
            raise InvalidInput([{"field": "guidance_start", "message": message}])
        if edit is None:
            _check_kind(catalogue.get(self.checkpoint))
            _check_size(fields, defaults.size_multiple)
        check_prompts(catalogue.get(self.checkpoint), self.prompt, self.negative_prompt, self.clip_skip)
        hires = self._hires()
        _check_enlarged(fields, hires)
        try:
            first = Recipe(**fields, hires=hires)
        except ValidationError as error:
            raise InvalidInput(explain(error)) from error
        return [numbered(first, number) for number in range(self.count)]

    def _sampling(self) -> dict[str, Any]:
        """Sampler and scheduler where they are said; of two schedulers the one that is said by itself counts."""
        sampler, scheduler = (split(self.sampler) if self.sampler else None) or (None, None)
        said = {"sampler": sampler, "scheduler": self.scheduler or scheduler}
        return {name: value for name, value in said.items() if value is not None}

    def _hires(self) -> Hires | None:
        """The second pass. Raises `InvalidInput` for settings of one that is not asked for."""
        given = {name: value for name in HIRES if (value := getattr(self, name)) is not None}
        if given and self.hires_scale is None:
            wrong = next(iter(given))
            raise InvalidInput([{"field": wrong, "message": "This needs hires_scale: by how much to enlarge."}])
        return Hires(**{name.removeprefix("hires_"): value for name, value in given.items()}) if given else None


def numbered(recipe: Recipe, number: int) -> Recipe:
    """Return the recipe of one of several images: seeds follow each other or, where the seed is varied, subseeds do.

    Raises `InvalidInput`.
    """
    name = "subseed" if recipe.subseed is not None and recipe.subseed_strength else "seed"
    seed = getattr(recipe, name) + number
    if seed > MAX_SEED:
        message = f"Image {number + 1} would have a {name} above {MAX_SEED}; lower the {name} or the count."
        raise InvalidInput([{"field": name, "message": message}])
    return recipe.model_copy(update={name: seed})


def _drawn(seed: int) -> int:
    return secrets.randbelow(RANDOM_SEEDS) if seed == -1 else seed


def _check_enlarged(fields: dict[str, Any], hires: Hires | None) -> None:
    width, height = hires.size(fields["width"], fields["height"]) if hires else (0, 0)
    if width * height > MAX_ENLARGED:
        message = f"This would be {width} x {height}; a picture may come to {MAX_ENLARGED:,} pixels. Enlarge less."
        raise InvalidInput([{"field": "hires_scale", "message": message}])


def _check_kind(facts: CheckpointFacts) -> None:
    if facts.inpainting:
        message = f"Checkpoint {facts.name!r} is made for inpainting: send a picture, or choose another."
        raise InvalidInput([{"field": "checkpoint", "message": message}])


def _check_size(fields: dict[str, Any], multiple: int) -> None:
    errors = [
        {
            "field": side,
            "message": f"Checkpoint {fields['checkpoint']!r} makes sizes that are a multiple of {multiple}; "
            f"{fields[side]} is not, {max(1, round(fields[side] / multiple)) * multiple} would be.",
        }
        for side in ("width", "height")
        if fields[side] % multiple
    ]
    if errors:
        raise InvalidInput(errors)
