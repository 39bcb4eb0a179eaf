"""Which files of pictures and masks are still needed, and by what. What nothing needs is swept."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, Select, insert, or_, select, union

from app.storage.images import is_discarded
from app.storage.tables import canvases, images, job_inputs, jobs
from models.recipe import Recipe


def inputs_of(recipe: Recipe) -> list[str]:
    """The hashes of the files that a recipe is carried out with: picture, then mask."""
    edit = recipe.edit
    return [] if edit is None else list(dict.fromkeys(sha256 for sha256 in (edit.image, edit.mask) if sha256))


def need(tx: Connection, job_id: str, hashes: Iterable[str]) -> None:
    """Note that a job is carried out with these files."""
    for sha256 in hashes:
        tx.execute(insert(job_inputs).values(job_id=job_id, sha256=sha256))


def is_used(tx: Connection, sha256: str) -> bool:
    """Whether anything needs this file; of an image that is marked deleted it goes."""
    return bool(used(tx, [sha256]))


def used(tx: Connection, hashes: Collection[str]) -> set[str]:
    """Those of these files that something needs."""
    return set(tx.execute(union(*(query.where(column.in_(hashes)) for column, query in _uses()))).scalars())


def in_use(tx: Connection) -> set[str]:
    """The hashes of all files that something needs."""
    return set(tx.execute(union(*(query for _column, query in _uses()))).scalars())


def is_of(tx: Connection, owner: str, sha256: str) -> bool:
    """Whether the owner has an image of this file, or a job or canvas that needs it, and so may name it by its hash."""
    mine = (
        (images.c.owner, images.c.sha256, _images()),
        (jobs.c.owner, job_inputs.c.sha256, _jobs()),
        (canvases.c.owner, canvases.c.mask_sha256, _canvases()),
    )
    queries = (query.where(its_owner == owner, column == sha256).limit(1) for its_owner, column, query in mine)
    return any(tx.execute(query).first() is not None for query in queries)


def _uses() -> tuple[tuple[Any, Select[Any]], ...]:
    return (
        (images.c.sha256, _images()),
        (job_inputs.c.sha256, _jobs()),
        (canvases.c.mask_sha256, _canvases()),
    )


def _images() -> Select[Any]:
    return select(images.c.sha256).where(images.c.deleted_at.is_(None) | is_discarded())


def _jobs() -> Select[Any]:
    """The inputs of jobs that are to run, or can be tried again, or whose image could be made again.

    A candidate of a canvas can be tried again there, also when its card is off the page, and one that was thrown away
    can be brought back.
    """
    is_shown = or_(jobs.c.hidden.is_(False), jobs.c.canvas_id.is_not(None))
    has_image = select(images.c.id).where(images.c.job_id == jobs.c.id, images.c.deleted_at.is_(None)).exists()
    is_live = or_(
        jobs.c.status.in_(("queued", "running")),
        jobs.c.status.in_(("failed", "cancelled")) & is_shown,
        has_image,
        jobs.c.discarded_at.is_not(None),
    )
    return select(job_inputs.c.sha256).join(jobs, jobs.c.id == job_inputs.c.job_id).where(is_live)


def _canvases() -> Select[Any]:
    return select(canvases.c.mask_sha256).where(canvases.c.mask_sha256.is_not(None))
