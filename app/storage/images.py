"""Rows of finished images, found by their owner; the bytes are in `files`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, tuple_, update

from app.storage.tables import images, jobs, now_ms, shares
from models.recipe import Recipe


@dataclass(frozen=True, slots=True)
class NewImage:
    """What is known of an image when its file has been written."""

    id: str
    job_id: str
    owner: str
    recipe: Recipe
    environment: Mapping[str, Any]
    sha256: str
    pixel_sha256: str
    width: int
    height: int


def add(tx: Connection, image: NewImage) -> None:
    """Insert the row. A second image of the same job is refused by the schema."""
    row = {
        name: getattr(image, name) for name in ("id", "job_id", "owner", "sha256", "pixel_sha256", "width", "height")
    }
    texts = {"recipe": image.recipe.to_json(), "environment": json.dumps(dict(image.environment), sort_keys=True)}
    tx.execute(insert(images).values(**row, **texts, created_at=now_ms()))


def one(tx: Connection, owner: str, image_id: str) -> Row[Any] | None:
    """The owner's image of this id."""
    mine = (images.c.id == image_id) & (images.c.owner == owner) & images.c.deleted_at.is_(None)
    return tx.execute(select(images).where(mine)).one_or_none()


def of_jobs(tx: Connection, job_ids: Sequence[str]) -> dict[str, Row[Any]]:
    """The images of these jobs, by job."""
    rows = tx.execute(select(images).where(images.c.job_id.in_(job_ids), images.c.deleted_at.is_(None)))
    return {row.job_id: row for row in rows}


def page(tx: Connection, owner: str, before: tuple[int, str] | None, limit: int) -> Sequence[Row[Any]]:
    """The owner's images, newest first, from the one after `before` (its time and id) on."""
    query = select(images).where(images.c.owner == owner, images.c.deleted_at.is_(None))
    if before is not None:
        query = query.where(tuple_(images.c.created_at, images.c.id) < before)
    return tx.execute(query.order_by(images.c.created_at.desc(), images.c.id.desc()).limit(limit)).all()


def shared(tx: Connection, token_hash: str) -> Row[Any] | None:
    """The image behind a share link that has not been revoked, with `show_recipe`."""
    query = select(images, shares.c.show_recipe).join(shares, shares.c.image_id == images.c.id)
    valid = (shares.c.token_hash == token_hash) & shares.c.revoked_at.is_(None) & images.c.deleted_at.is_(None)
    return tx.execute(query.where(valid)).one_or_none()


def bury(tx: Connection, row: Row[Any]) -> None:
    """Mark the image deleted, with its shares and its job's card; its file and then its row are to follow."""
    tx.execute(delete(shares).where(shares.c.image_id == row.id))
    tx.execute(update(jobs).where(jobs.c.id == row.job_id).values(hidden=True))
    tx.execute(update(images).where(images.c.id == row.id).values(deleted_at=now_ms()))


def buried(tx: Connection) -> Sequence[Row[Any]]:
    """The images that are marked deleted and still have a row."""
    return tx.execute(select(images).where(images.c.deleted_at.is_not(None))).all()


def forget(tx: Connection, image_id: str) -> None:
    """Delete the row of an image that is marked deleted."""
    tx.execute(delete(images).where(images.c.id == image_id, images.c.deleted_at.is_not(None)))


def is_used(tx: Connection, sha256: str) -> bool:
    """Whether any image that is not deleted has this file."""
    used = select(images.c.id).where(images.c.sha256 == sha256, images.c.deleted_at.is_(None)).limit(1)
    return tx.execute(used).first() is not None


def files_in_use(tx: Connection) -> set[str]:
    """The hashes of all files that have an image, deleted ones too, whose file is about to go."""
    return set(tx.execute(select(images.c.sha256)).scalars())


def count(tx: Connection, owner: str) -> int:
    """How many images the owner has."""
    mine = (images.c.owner == owner) & images.c.deleted_at.is_(None)
    return tx.execute(select(func.count()).select_from(images).where(mine)).scalar_one()
