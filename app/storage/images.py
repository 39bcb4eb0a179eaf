"""Rows of finished images, found by their owner; the bytes are in `files`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, func, insert, select, tuple_, update

from app.storage import canvases, words
from app.storage.tables import images, jobs, now_ms, shares
from models.recipe import Recipe

FEW = 4
GENERATED = "generated"
SEARCHED = 500  # images that a recipe is looked for among
UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class NewImage:
    """What is known of an image when its file has been written; an upload has neither job nor recipe."""

    id: str
    job_id: str | None
    owner: str
    recipe: Recipe | None
    environment: Mapping[str, Any]
    sha256: str
    pixel_sha256: str
    width: int
    height: int
    origin: str = GENERATED
    parent_id: str | None = None


def is_discarded() -> ColumnElement[bool]:
    """Whether an image was thrown away with the candidate that it is, and may be brought back with it."""
    return exists().where(jobs.c.id == images.c.job_id, jobs.c.discarded_at.is_not(None))


def add(tx: Connection, image: NewImage) -> None:
    """Insert the row. A second image of the same job is refused by the schema."""
    texts = {
        "recipe": image.recipe.to_json() if image.recipe else None,
        "environment": json.dumps(dict(image.environment), sort_keys=True),
        "words": words.of_image(image.recipe, image.width, image.height),
    }
    row = {field.name: getattr(image, field.name) for field in fields(image) if field.name not in texts}
    tx.execute(insert(images).values(**row, **texts, created_at=now_ms()))


def one(tx: Connection, owner: str, image_id: str) -> Row[Any] | None:
    """The owner's image of this id."""
    mine = (images.c.id == image_id) & (images.c.owner == owner) & images.c.deleted_at.is_(None)
    return tx.execute(select(images).where(mine)).one_or_none()


def several(tx: Connection, owners: Mapping[str, str]) -> list[Row[Any]]:
    """Those of these images, each of its owner, that are there, in their order."""
    there = select(images).where(images.c.id.in_(owners), images.c.deleted_at.is_(None))
    rows = {row.id: row for row in tx.execute(there)}
    return [rows[image_id] for image_id, owner in owners.items() if image_id in rows and rows[image_id].owner == owner]


def of_file(tx: Connection, owner: str, sha256: str) -> Row[Any] | None:
    """The owner's newest image that has this file."""
    mine = (images.c.owner == owner) & (images.c.sha256 == sha256) & images.c.deleted_at.is_(None)
    return tx.execute(select(images).where(mine).order_by(images.c.created_at.desc()).limit(1)).one_or_none()


def of_recipe(tx: Connection, owner: str, recipe: Recipe) -> Sequence[Row[Any]]:
    """The owner's images of this recipe among the newest, the newest first."""
    mine = (images.c.owner == owner) & images.c.deleted_at.is_(None)
    newest = (
        select(images).where(mine).order_by(images.c.created_at.desc(), images.c.id.desc()).limit(SEARCHED).subquery()
    )
    return tx.execute(select(newest).where(newest.c.recipe == recipe.to_json()).limit(FEW)).all()


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


def search(
    tx: Connection, owner: str, wanted: Sequence[str], before: tuple[int, str] | None, limit: int, among: int
) -> tuple[Sequence[Row[Any]], tuple[int, str] | None]:
    """Of the next `among` images after `before`, newest first, up to `limit` whose words hold all that is wanted.

    With them comes the time and id of the last that was looked at if there may be more after it.
    """
    place = tuple_(images.c.created_at, images.c.id)
    order = (images.c.created_at.desc(), images.c.id.desc())
    owned = [images.c.owner == owner] + ([place < before] if before is not None else [])
    stretch = select(images.c.created_at, images.c.id).where(*owned).order_by(*order).offset(among - 1).limit(1)
    last = tx.execute(stretch).first()
    if last is not None:
        owned.append(place >= tuple(last))
    holding = (images.c.words.contains(piece, autoescape=True) for piece in wanted)
    found = select(images.c.id).where(*owned, images.c.deleted_at.is_(None), *holding).order_by(*order).limit(limit)
    ids = tx.execute(found).scalars().all()  # from an index alone; the rows are four times as long
    rows = tx.execute(select(images).where(images.c.id.in_(ids)).order_by(*order)).all() if ids else []
    if len(rows) == limit:
        return rows, (rows[-1].created_at, rows[-1].id)
    return rows, None if last is None else (last.created_at, last.id)


def shared(tx: Connection, token_hash: str) -> Row[Any] | None:
    """The image behind a share link that has not been revoked, with `show_recipe`."""
    query = select(images, shares.c.show_recipe).join(shares, shares.c.image_id == images.c.id)
    valid = (shares.c.token_hash == token_hash) & shares.c.revoked_at.is_(None) & images.c.deleted_at.is_(None)
    return tx.execute(query.where(valid)).one_or_none()


def children(tx: Connection, image_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """What was made from these images, oldest first, by image."""
    found: dict[str, list[Row[Any]]] = {image_id: [] for image_id in image_ids}
    query = select(images).where(images.c.parent_id.in_(image_ids), images.c.deleted_at.is_(None))
    for row in tx.execute(query.order_by(images.c.created_at, images.c.id)):
        found[row.parent_id].append(row)
    return found


def bury(tx: Connection, rows: Sequence[Row[Any]]) -> None:
    """Mark images deleted, with their shares and their jobs' cards; their files and then their rows are to follow.

    What was made from one is from now on said to be made from what it was made from.
    """
    parents: dict[str, str | None] = {row.id: row.parent_id for row in rows}
    heirs = {image_id: _left(parents, image_id) for image_id in parents}
    tx.execute(delete(shares).where(shares.c.image_id.in_(parents)))
    for table in (images, jobs):
        edited = select(table.c.parent_id).where(table.c.parent_id.in_(parents)).distinct()
        for parent_id in tx.execute(edited).scalars().all():
            tx.execute(update(table).where(table.c.parent_id == parent_id).values(parent_id=heirs[parent_id]))
    canvases.leave(tx, heirs)
    tx.execute(update(jobs).where(jobs.c.id.in_([row.job_id for row in rows if row.job_id])).values(hidden=True))
    tx.execute(update(images).where(images.c.id.in_(parents)).values(deleted_at=now_ms()))


def _left(parents: Mapping[str, str | None], image_id: str) -> str | None:
    """The nearest image that this one was made from and that stays, if there is one."""
    heir: str | None = image_id
    while heir is not None and heir in parents:
        heir = parents[heir]
    return heir


def buried(tx: Connection) -> Sequence[Row[Any]]:
    """The images that are marked deleted and still have a row, but for those that may be brought back."""
    return tx.execute(select(images).where(images.c.deleted_at.is_not(None), ~is_discarded())).all()


def forget(tx: Connection, image_ids: Sequence[str]) -> None:
    """Delete the rows of images that are marked deleted."""
    tx.execute(delete(images).where(images.c.id.in_(image_ids), images.c.deleted_at.is_not(None)))


def count(tx: Connection, owner: str, origin: str | None = None) -> int:
    """How many images the owner has, of one origin or of all."""
    mine = (images.c.owner == owner) & images.c.deleted_at.is_(None)
    query = select(func.count()).select_from(images).where(mine)
    return tx.execute(query if origin is None else query.where(images.c.origin == origin)).scalar_one()
