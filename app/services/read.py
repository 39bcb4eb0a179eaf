"""Turning rows into views, with as few queries as there are tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

from app.services.views import ErrorView, EventView, ImageView, JobView, ShareView, utc
from app.storage import images, jobs, shares
from models.recipe import Recipe


def job_views(tx: Connection, rows: Sequence[Row[Any]]) -> list[JobView]:
    """The views of rows of `jobs`, in their order."""
    queued = [row.seq for row in rows if row.status == "queued"]
    positions = jobs.positions(tx, queued) if queued else {}
    over = [row.id for row in rows if row.status == "done"]
    done = images.of_jobs(tx, over) if over else {}
    views = {view.id: view for view in image_views(tx, list(done.values()))}
    return [_job(row, positions, views.get(done[row.id].id) if row.id in done else None) for row in rows]


def image_views(tx: Connection, rows: Sequence[Row[Any]]) -> list[ImageView]:
    """The views of rows of `images`, in their order."""
    if not rows:
        return []
    ids = [row.id for row in rows]
    links, children = shares.of_images(tx, ids), images.children(tx, ids)
    return [image_view(row, links[row.id], children[row.id]) for row in rows]


def image_view(row: Row[Any], links: Sequence[Row[Any]] = (), children: Sequence[Row[Any]] = ()) -> ImageView:
    """The view of one row of `images` with its rows of `shares` and those of the images that were made from it."""
    environment = json.loads(row.environment)
    match = environment.pop("match", None)
    return ImageView(
        id=row.id,
        width=row.width,
        height=row.height,
        pixel_sha256=row.pixel_sha256,
        recipe=Recipe.from_json(row.recipe) if row.recipe else None,
        environment=environment,
        created_at=utc(row.created_at),
        shares=tuple(_share(link) for link in links),
        origin=row.origin,
        parent_id=row.parent_id,
        children=tuple(child.id for child in children),
        match=match,
    )


def event_view(row: Row[Any]) -> EventView:
    """The view of one row of `job_events`."""
    return EventView(row.id, row.job_id, row.kind, json.loads(row.body), utc(row.created_at))


def _job(row: Row[Any], positions: dict[int, int], image: ImageView | None) -> JobView:
    return JobView(
        id=row.id,
        group=row.group_id,
        status=row.status,
        step=row.step,
        steps=row.steps,
        position=positions.get(row.seq),
        attempt=row.attempt,
        recipe=Recipe.from_json(row.recipe),
        image=image,
        error=ErrorView(row.error_code, row.error_message) if row.error_code else None,
        preview_version=row.preview_version,
        created_at=utc(row.created_at),
    )


def _share(row: Row[Any]) -> ShareView:
    revoked_at = None if row.revoked_at is None else utc(row.revoked_at)
    return ShareView(row.id, row.show_recipe, utc(row.created_at), revoked_at)
