"""What a user asks for, before a checkpoint's defaults and the seeds of its images are filled in."""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints, ValidationError

from app.services.catalogue import Catalogue
from app.services.edit_request import EditFields
from app.services.errors import InvalidInput
from models.edit import Edit, Side
from models.recipe import MAX_SEED, MAX_STEPS, NegativePrompt, Prompt, Recipe, Sampler, explain

MAX_COUNT = 8
RANDOM_SEEDS = 2**32  # short enough to be read out, and what other programs accept


class JobRequest(EditFields):
    """One to eight images of one prompt. What is left out is the checkpoint's default; seed -1 draws one.

    Numbers must be numbers; a form, whose values are all text, goes through `from_form`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    prompt: Prompt
    negative_prompt: NegativePrompt = ""
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    guidance_scale: Annotated[float, Field(ge=1, le=30)] | None = None
    guidance_rescale: Annotated[float, Field(ge=0, le=1)] | None = None
    sampler: Annotated[Sampler, Field(strict=False)] | None = None
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: Annotated[int, Field(ge=-1, le=MAX_SEED)] = -1
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
        left_out = {"count", "seed", "checkpoint", *EditFields.model_fields}
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
            "edit": edit,
            "checkpoint": defaults.checkpoint,
        }
        seed = secrets.randbelow(RANDOM_SEEDS) if self.seed == -1 else self.seed
        if seed + self.count - 1 > MAX_SEED:
            message = (
                f"The last of {self.count} images would have a seed above {MAX_SEED}; lower the seed or the count."
            )
            raise InvalidInput([{"field": "seed", "message": message}])
        _check_size(fields, defaults.size_multiple)
        try:
            return [Recipe(**fields, seed=seed + number) for number in range(self.count)]
        except ValidationError as error:
            raise InvalidInput(explain(error)) from error


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
