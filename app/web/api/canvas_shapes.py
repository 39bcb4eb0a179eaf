"""The JSON of canvases, as types; OpenAPI is made from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.services.views import CanvasView, ImageView, JobView
from app.web.api.shapes import Answers, ErrorAnswer, JobError
from models.edit import Frame

STALE: Answers = {
    409: {
        "model": ErrorAnswer,
        "description": "If-Match names another version than the canvas has; the answer and its ETag say which.",
        "content": {
            "application/json": {
                "example": {
                    "error": {
                        "code": "stale",
                        "message": "This has been changed elsewhere and is at version 8 now; read it anew.",
                        "fields": [{"field": "version", "message": "8"}],
                    }
                }
            }
        },
    }
}


class CanvasImage(BaseModel):
    """A picture and its size."""

    id: str
    url: str
    width: int
    height: int

    @classmethod
    def of(cls, view: ImageView) -> CanvasImage:
        return cls(id=view.id, url=f"/images/{view.id}.png", width=view.width, height=view.height)


class Candidate(BaseModel):
    """A job whose image waits to be chosen; `frame` is where on the canvas's picture it belongs."""

    job: str
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    step: int
    steps: int
    seed: int
    preview_url: str | None
    image: CanvasImage | None
    error: JobError | None
    frame: Frame | None

    @classmethod
    def of(cls, view: JobView) -> Candidate:
        has_preview = view.status == "running" and view.preview_version
        return cls(
            job=view.id,
            status=view.status,
            step=view.step,
            steps=view.steps,
            seed=view.recipe.seed,
            preview_url=f"/jobs/{view.id}/preview.png?v={view.preview_version}" if has_preview else None,
            image=CanvasImage.of(view.image) if view.image else None,
            error=JobError(code=view.error.code, message=view.error.message) if view.error else None,
            frame=view.recipe.edit.frame if view.recipe.edit else None,
        )


class Step(BaseModel):
    """A picture that the canvas has held; `parent_id` names the one that it was made from."""

    image_id: str
    url: str
    thumbnail_url: str
    width: int
    height: int
    parent_id: str | None

    @classmethod
    def of(cls, view: ImageView) -> Step:
        return cls(
            image_id=view.id,
            url=f"/images/{view.id}.png",
            thumbnail_url=f"/images/{view.id}/thumbnail.webp",
            width=view.width,
            height=view.height,
            parent_id=view.parent_id,
        )


class Canvas(BaseModel):
    """A picture that is being worked on. `version` counts its changes; send it as If-Match to be told of others'.

    `mask_url` is null where nothing is masked; `settings` is whatever the page has put there; `discarded` are the jobs
    of candidates that were deleted of late, the last one last, and can be restored.
    """

    id: str
    version: int
    image: CanvasImage
    mask_url: str | None
    frame: Frame
    settings: dict[str, Any]
    candidates: list[Candidate]
    discarded: list[str]
    history: list[Step]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, view: CanvasView) -> Canvas:
        return cls(
            id=view.id,
            version=view.version,
            image=CanvasImage.of(view.image),
            mask_url=f"/api/canvases/{view.id}/mask?v={view.version}" if view.has_mask else None,
            frame=view.frame,
            settings=view.settings,
            candidates=[Candidate.of(job) for job in view.candidates],
            discarded=list(view.discarded),
            history=[Step.of(image) for image in view.history],
            created_at=view.created_at,
            updated_at=view.updated_at,
        )


class Canvases(BaseModel):
    """Canvases, the one used last first; pass `next` as `before` for the page that follows."""

    canvases: list[Canvas]
    next: str | None


class CanvasVersion(BaseModel):
    """What a canvas's version is now."""

    version: int


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class NewCanvas(_Body):
    """Which image to put on a new canvas."""

    image_id: Annotated[str, Field(max_length=64, examples=["0Zk1v3cVQ2Gd7u0m1rjK8A"])]


class CanvasChange(_Body):
    """What to keep; what is left out stays as it is."""

    frame: Frame | None = None
    settings: Annotated[dict[str, Any] | None, Field(description="Any JSON object of at most 16 KiB.")] = None


class ChosenImage(_Body):
    """An image of the canvas: a candidate's, or one of its history."""

    image_id: Annotated[str, Field(max_length=64)]


class DiscardedJob(_Body):
    """The candidate to take off; null for all. `delete` throws one away with its picture."""

    job: Annotated[str | None, Field(max_length=64)] = None
    delete: bool = False

    @model_validator(mode="after")
    def _names_what_it_deletes(self) -> Self:
        if self.delete and self.job is None:
            raise ValueError("name the job whose picture is to be deleted")
        return self


class RestoredJob(_Body):
    """The candidate to bring back."""

    job: Annotated[str, Field(max_length=64)]
