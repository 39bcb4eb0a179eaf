"""The part of a request that says what its images begin from."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from models.edit import Edit, Frame, Infill, MaskedContent, Side

BY_HASH = "sha256:"
MAX_BASE64 = 30_000_000  # characters; more than the largest file has
SETTINGS = (
    *("strength", "mask_blur", "grow", "overlap", "only_masked", "padding", "work_width", "work_height"),
    *("infill", "masked_content", "color_match"),
)


def _frame(value: Any) -> Any:
    """Read a frame out of a form's text: `x,y,width,height`, or JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        try:
            return {name: str(number) for name, number in json.loads(value).items()}
        except (ValueError, RecursionError) as error:
            raise ValueError("must be x,y,width,height or a JSON object of these") from error
    numbers = [number.strip() for number in value.split(",")]
    if len(numbers) != 4:
        raise ValueError("must be four numbers: x,y,width,height")
    return dict(zip(("x", "y", "width", "height"), numbers, strict=True))


def _default(name: str) -> Any:
    return Edit.model_fields[name].default


def fields_of(edit: Edit) -> dict[str, Any]:
    """What an edit begins from, by the hashes of its files, and how, as fields of a request that asks for it again."""
    frame = edit.frame
    named = {
        "image": f"{BY_HASH}{edit.image}",
        "mask": f"{BY_HASH}{edit.mask}" if edit.mask else None,
        "frame": f"{frame.x},{frame.y},{frame.width},{frame.height}" if frame else None,
        **edit.model_dump(mode="json", include=set(SETTINGS)),
    }
    return {name: value for name, value in named.items() if value is not None}


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
        None,
        description="The share of the steps that are taken: 0 changes nothing, 1 keeps nothing. "
        f"{_default('strength')} if left out.",
    )
    frame: Annotated[Frame, BeforeValidator(_frame)] | None = Field(
        None,
        description="What the new image shows, in pixels of `image`; what lies beyond that is outpainted. All of it, "
        "down to a multiple of 8, if left out. In multipart: x,y,width,height.",
    )
    mask_blur: Annotated[int, Field(ge=0, le=64)] | None = Field(
        None, description=f"Half of the pixels over which the new fades in; {_default('mask_blur')} if left out."
    )
    grow: Annotated[int, Field(ge=0, le=256)] | None = Field(
        None, description=f"By how many pixels more than the mask is repainted; {_default('grow')} if left out."
    )
    overlap: Annotated[int, Field(ge=0, le=256)] | None = Field(
        None,
        description="How many pixels of the picture are repainted where the frame goes beyond it, at most a quarter of "
        f"its shorter side; {_default('overlap')} if left out.",
    )
    only_masked: bool | None = Field(None, description="Work on the surroundings of the mask alone, at full size.")
    padding: Annotated[int, Field(ge=0, le=512)] | None = Field(
        None, description=f"How far these surroundings go, in pixels; {_default('padding')} if left out."
    )
    work_width: Side | None = Field(
        None, description="With `only_masked`: the width at which that is done; the checkpoint's own if left out."
    )
    work_height: Side | None = Field(None, description="As `work_width`.")
    infill: Annotated[Infill, Field(strict=False)] | None = Field(None, description="What outpainting begins from.")
    masked_content: Annotated[MaskedContent, Field(strict=False)] | None = Field(
        None, description="What stands under the mask at first."
    )
    color_match: bool | None = Field(
        None, description="Bring the colours of what is new into line with what is around it; done if left out."
    )

    @property
    def edit_settings(self) -> dict[str, Any]:
        """What was said of how to edit, by its name in `models.edit.Edit`."""
        return {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}
