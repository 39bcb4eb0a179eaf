"""What services answer with: plain frozen values, ready for a template or for JSON. Times are UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from models.edit import MAX_SIDE, Frame
from models.recipe import Recipe

Status = Literal["queued", "running", "done", "failed", "cancelled"]
Origin = Literal["generated", "upload"]


@dataclass(frozen=True, slots=True)
class ShareView:
    """A share link as its owner sees it; the token itself is shown once, when it is made."""

    id: str
    show_recipe: bool
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class ImageView:
    """A finished image. `recipe` is None for an upload and where a share link hides it.

    `parent_id` is the image that it was made from, `children` are those that were made from it. `match` is how probably
    it shows its prompt, 0..1, where its checkpoint can tell.
    """

    id: str
    width: int
    height: int
    pixel_sha256: str
    recipe: Recipe | None
    environment: dict[str, Any]
    created_at: datetime
    shares: tuple[ShareView, ...] = ()
    origin: Origin = "generated"
    parent_id: str | None = None
    children: tuple[str, ...] = ()
    match: float | None = None

    @property
    def fits_canvas(self) -> bool:
        """Whether it can be edited as it is."""
        return max(self.width, self.height) <= MAX_SIDE

    @property
    def alt(self) -> str:
        """What stands for the picture where it cannot be seen."""
        if self.recipe is not None:
            return self.recipe.prompt or "A picture made without a prompt"
        return "An uploaded picture" if self.origin == "upload" else "A picture made with Mezzotint"


@dataclass(frozen=True, slots=True)
class ErrorView:
    """Why a job failed, or why it waits although it is its turn."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class JobView:
    """A job. `position` is 1 for the next in line and None unless queued; `image` may have been deleted since."""

    id: str
    group: str
    status: Status
    step: int
    steps: int
    position: int | None
    attempt: int
    recipe: Recipe
    image: ImageView | None
    error: ErrorView | None
    preview_version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class GroupView:
    """The jobs of one request; `replayed` if its idempotency key had been seen before."""

    id: str
    jobs: tuple[JobView, ...]
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class EventView:
    """Something that happened to a job; a `snapshot` says that the events before `id` are no longer kept."""

    id: int
    job: str | None
    kind: str
    body: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CanvasView:
    """A picture that is being worked on, with mask and frame, the jobs whose images wait to be chosen from, the ids of
    those that were thrown away of late, and all pictures that it has held: each but the first names its `parent_id`.
    """

    id: str
    version: int
    image: ImageView
    has_mask: bool
    frame: Frame
    settings: dict[str, Any]
    candidates: tuple[JobView, ...]
    discarded: tuple[str, ...]
    history: tuple[ImageView, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CanvasPage:
    """Canvases, the one used last first, and the key of the next page, None on the last."""

    canvases: tuple[CanvasView, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class GalleryPage:
    """Images, newest first, and the key of the next page, None on the last.

    `is_cut` where a search has looked for long enough before the page was full; it goes on from `next`.
    """

    images: tuple[ImageView, ...]
    next: str | None
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class SharedImage:
    """What a stranger with a link may see."""

    image: ImageView
    alt: str


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a request gets that does not say otherwise, by checkpoint; sizes must be multiples of `size_multiple`."""

    checkpoint: str
    steps: int
    guidance_scale: float
    guidance_rescale: float
    sampler: str
    width: int
    height: int
    size_multiple: int = 8


def utc(milliseconds: int) -> datetime:
    """The time that the database stores as milliseconds since 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
