"""The part of a request that says what its images begin from."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from models.edit import Frame, Infill, MaskedContent

MAX_BASE64 = 30_000_000  # characters; more than the largest file has
SETTINGS = ("strength", "mask_blur", "grow", "only_masked", "padding", "infill", "masked_content")


def _frame(value: Any) -> Any:
    """Read a frame out of a form's text: `x,y,width,height`, or JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        try:
            return {name: str(number) for name, number in json.loads(value).items()}
        except ValueError as error:
            raise ValueError("must be x,y,width,height or a JSON object of these") from error
    numbers = [number.strip() for number in value.split(",")]
    if len(numbers) != 4:
        raise ValueError("must be four numbers: x,y,width,height")
    return dict(zip(("x", "y", "width", "height"), numbers, strict=True))


Source = Annotated[str, StringConstraints(min_length=1, max_length=MAX_BASE64)]


class EditFields(BaseModel):
    """What an image begins from, and how; all of it may be left out, and needs `image` otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    image: Source | None = Field(
        None,
        description="Begin from this picture: the id of an image of yours, or a PNG, JPEG or WebP file in base64 or as "
        "a data URI (in multipart: a file). Without a mask, and within it, all of it is repainted.",
        examples=["0Zk1v3cVQ2Gd7u0m1rjK8A"],
    )
    mask: Source | None = Field(
        None,
        description="White is repainted; as large as `image`. Given as `image` is.",
        examples=["data:image/png;..."],
    )
    scale_mask: bool = Field(False, description="Scale a mask of another size instead of refusing it.")
    strength: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="The share of the steps that are taken: 0 changes nothing, 1 keeps nothing. 0.75 if left out."
    )
    frame: Annotated[Frame, BeforeValidator(_frame)] | None = Field(
        None,
        description="What the new image shows, in pixels of `image`; what lies beyond that is outpainted. All of it, "
        "down to a multiple of 8, if left out. In multipart: x,y,width,height.",
    )
    mask_blur: Annotated[int, Field(ge=0, le=64)] | None = Field(None, description="Pixels; 4 if left out.")
    grow: Annotated[int, Field(ge=0, le=256)] | None = Field(
        None, description="By how many pixels more than the mask is repainted; 8 if left out."
    )
    only_masked: bool | None = Field(None, description="Work on the surroundings of the mask alone, at full size.")
    padding: Annotated[int, Field(ge=0, le=512)] | None = Field(
        None, description="How far these surroundings go, in pixels; 32 if left out."
    )
    infill: Annotated[Infill, Field(strict=False)] | None = Field(None, description="What outpainting begins from.")
    masked_content: Annotated[MaskedContent, Field(strict=False)] | None = Field(
        None, description="What stands under the mask at first."
    )

    @property
    def edit_settings(self) -> dict[str, Any]:
        """What was said of how to edit, by its name in `models.edit.Edit`."""
        return {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}
