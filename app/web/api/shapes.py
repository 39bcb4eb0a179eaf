"""The JSON that the API takes and gives, as types; OpenAPI is made from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.services.views import GroupView, ImageView, JobView, ShareView
from models.recipe import Recipe


class FieldError(BaseModel):
    """One field that cannot be accepted, and what would be right."""

    field: str
    message: str


class ErrorBody(BaseModel):
    """`code` is for programs and stays; `message` is for people and may change."""

    code: str
    message: str
    fields: list[FieldError] = []


class ErrorAnswer(BaseModel):
    """What every refused request is answered."""

    error: ErrorBody


def _example(code: str, message: str, *fields: dict[str, str]) -> dict[str, Any]:
    return {"application/json": {"example": {"error": {"code": code, "message": message, "fields": list(fields)}}}}


def _error(description: str, example: dict[str, Any]) -> dict[str, Any]:
    return {"model": ErrorAnswer, "description": description, "content": example}


Answers = dict[int | str, dict[str, Any]]

NOT_FOUND: Answers = {
    404: _error("There is no such thing, or it is another's.", _example("not_found", "There is no such job.")),
    422: _error(
        "A field is wrong; each is named.",
        _example("invalid", "These fields are wrong: steps.", {"field": "steps", "message": "at most 150"}),
    ),
}
REFUSED: Answers = {
    403: _error("Started by another site.", _example("cross_site", "This request was started by another site.")),
    413: _error("The body is larger than 1 MiB.", _example("too_large", "The request is larger than 1 MiB.")),
    415: _error("The body is not JSON.", _example("unsupported_media_type", "Send application/json.")),
}
NOT_LOST: Answers = {
    409: _error("The job has neither failed nor been cancelled.", _example("conflict", "This one is done.")),
}
BUSY: Answers = {
    429: _error("Too many pictures are waiting; see Retry-After.", _example("too_many", "You have 100 waiting.")),
    503: _error("The database or the queue is busy.", _example("database_busy", "Try again in a few seconds.")),
    507: _error("The disk is full.", _example("disk_full", "Nothing new can be kept.")),
}


class QueuedJob(BaseModel):
    """A job that was accepted, and where to look after it."""

    id: str
    status: str
    seed: int
    url: Annotated[str, Field(examples=["/api/jobs/0Zk1v3cVQ2Gd7u0m1rjK8A"])]


class Group(BaseModel):
    """The jobs of one request: one for each image."""

    group: str
    jobs: list[QueuedJob]

    @classmethod
    def of(cls, view: GroupView) -> Group:
        jobs = [
            QueuedJob(id=job.id, status=job.status, seed=job.recipe.seed, url=f"/api/jobs/{job.id}")
            for job in view.jobs
        ]
        return cls(group=view.id, jobs=jobs)


class JobImage(BaseModel):
    """A finished image. `pixel_sha256` is of the raw RGB bytes: the same recipe gives the same. `match` is how probably
    it shows its prompt, 0 to 1, as the checkpoint's image tower reads it; null where the checkpoint has none."""

    id: str
    url: str
    width: int
    height: int
    pixel_sha256: str
    match: float | None

    @classmethod
    def of(cls, view: ImageView) -> JobImage:
        return cls(
            id=view.id,
            url=f"/images/{view.id}.png",
            width=view.width,
            height=view.height,
            pixel_sha256=view.pixel_sha256,
            match=view.match,
        )


class JobError(BaseModel):
    """Why a job failed."""

    code: str
    message: str


class Job(BaseModel):
    """One image on its way. `position` is 1 for the next in line, null unless queued."""

    id: str
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    step: int
    steps: int
    position: int | None
    attempt: int
    recipe: Recipe
    image: JobImage | None
    error: JobError | None

    @classmethod
    def of(cls, view: JobView) -> Job:
        return cls(
            id=view.id,
            status=view.status,
            step=view.step,
            steps=view.steps,
            position=view.position,
            attempt=view.attempt,
            recipe=view.recipe,
            image=JobImage.of(view.image) if view.image else None,
            error=JobError(code=view.error.code, message=view.error.message) if view.error else None,
        )


class Share(BaseModel):
    """A share link; its address is shown only when it is made, `id` revokes it."""

    id: str
    show_recipe: bool
    created_at: datetime
    revoked_at: datetime | None

    @classmethod
    def of(cls, view: ShareView) -> Share:
        return cls(id=view.id, show_recipe=view.show_recipe, created_at=view.created_at, revoked_at=view.revoked_at)


class Image(JobImage):
    """An image with everything that made it; an upload has no recipe.

    `parent_id` is the image that it was made from, if that is an image of yours, `children` those made from it.
    """

    thumbnail_url: str
    origin: Literal["generated", "upload"]
    parent_id: str | None
    children: list[str]
    recipe: Recipe | None
    environment: dict[str, Any]
    created_at: datetime
    shares: list[Share]

    @classmethod
    def of(cls, view: ImageView) -> Image:
        return cls(
            **JobImage.of(view).model_dump(),
            thumbnail_url=f"/images/{view.id}/thumbnail.webp",
            origin=view.origin,
            parent_id=view.parent_id,
            children=list(view.children),
            recipe=view.recipe,
            environment=view.environment,
            created_at=view.created_at,
            shares=[Share.of(link) for link in view.shares],
        )


class ImagePage(BaseModel):
    """Images, newest first; pass `next` as `before` for the page that follows."""

    images: list[Image]
    next: str | None


class ShareRequest(BaseModel):
    """How to share an image."""

    model_config = ConfigDict(extra="forbid", strict=True)

    show_recipe: Annotated[bool, Field(description="Whether strangers see the prompt and the settings.")] = False


class ShareLink(BaseModel):
    """A new link. Keep it: only its hash is stored, so it cannot be shown again."""

    url: Annotated[str, Field(examples=["http://127.0.0.1:8000/s/3k1tS2mQ0aVd4h9W8yq7L5rT6pXeZcBn"])]


class Health(BaseModel):
    """This process is alive."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Whether pictures can be made; each check is `ok` or says in a word what is wrong."""

    ready: bool
    checks: dict[str, str]
