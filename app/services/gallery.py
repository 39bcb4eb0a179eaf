"""The finished images of one owner: pages, files, deletion."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row

from app.services import read
from app.services.errors import InvalidInput, NotFound
from app.services.views import GalleryPage, ImageView
from app.storage import images, jobs, references, words
from app.storage.store import Store
from models.recipe import Recipe

MAX_PAGE = 200
MAX_QUERY = 200  # characters
SEARCH_SECONDS = 0.01  # for one page, so that it comes as soon as any other; the next goes on from there
SEARCHED_AT_ONCE = 10_000  # images, between two looks at the clock


@dataclass(frozen=True, slots=True)
class Family:
    """The image that one was made from, if there is one, and those that were made from it, oldest first."""

    parent: ImageView | None
    children: tuple[ImageView, ...]


def page(store: Store, owner: str, before: str | None = None, limit: int = 60, q: str = "") -> GalleryPage:
    """Up to `limit` images, newest first, from the key `before` (the `next` of the page before) on.

    With `q` only those that hold all its words, see `app.storage.words`; then a page may have fewer than `limit` images
    and still a next one. As fast for the last page as for the first. Raises `InvalidInput` for a key that we did not
    give out, and for a `q` of more than `MAX_QUERY` characters.
    """
    limit, start = min(max(limit, 1), MAX_PAGE), None if before is None else key(before)
    if len(q) > MAX_QUERY:
        raise InvalidInput([{"field": "q", "message": f"Search for at most {MAX_QUERY} characters; this is {len(q)}."}])
    wanted = words.wanted(q)
    if wanted:
        return _search(store, owner, wanted, start, limit)
    with store.read() as tx:
        rows = images.page(tx, owner, start, limit + 1)
        views = read.image_views(tx, rows[:limit])
    last = rows[limit - 1] if len(rows) > limit else None
    return GalleryPage(tuple(views), None if last is None else f"{last.created_at}.{last.id}")


def _search(store: Store, owner: str, wanted: Sequence[str], start: tuple[int, str] | None, limit: int) -> GalleryPage:
    """Look through the images, a stretch at a time, until the page is full, they end, or so does the time."""
    rows: list[Row[Any]] = []
    end, deadline = start, time.monotonic() + SEARCH_SECONDS
    with store.read() as tx:
        while True:
            found, end = images.search(tx, owner, wanted, end, limit + 1 - len(rows), SEARCHED_AT_ONCE)
            rows += found
            if end is None or len(rows) > limit or time.monotonic() > deadline:
                break
        views = read.image_views(tx, rows[:limit])
    if len(rows) > limit:
        end = (rows[limit - 1].created_at, rows[limit - 1].id)
    return GalleryPage(tuple(views), end and f"{end[0]}.{end[1]}", is_cut=end is not None and len(rows) <= limit)


def several(store: Store, owners: Mapping[str, str]) -> list[ImageView]:
    """Those of these images, each of its owner, that are there."""
    with store.read() as tx:
        return read.image_views(tx, images.several(tx, owners))


def image(store: Store, owner: str, image_id: str) -> ImageView:
    """The owner's image. Raises `NotFound`."""
    with store.read() as tx:
        return read.image_views(tx, [_mine(tx, owner, image_id)])[0]


def family(store: Store, owner: str, image_id: str) -> Family:
    """What an image was made from and what was made from it. Raises `NotFound`."""
    with store.read() as tx:
        row = _mine(tx, owner, image_id)
        parent = images.one(tx, owner, row.parent_id) if row.parent_id else None
        children = images.children(tx, [row.id])[row.id]
        return Family(
            None if parent is None else read.image_view(parent), tuple(read.image_view(child) for child in children)
        )


def adopt(store: Store, holder: str, owner: str, image_id: str) -> str:
    """Give the owner an image of the holder's as well, once, and return the id of theirs. Raises `NotFound`.

    The file is the same; what it was made from, and links to it, stay the holder's.
    """
    with store.write() as tx:
        row = images.one(tx, holder, image_id)
        if row is None:
            raise NotFound("There is no such image.")
        known = images.of_file(tx, owner, row.sha256)
        if known is not None:
            return str(known.id)
        copy = images.NewImage(
            id=jobs.new_id(),
            job_id=None,
            owner=owner,
            recipe=Recipe.from_json(row.recipe) if row.recipe else None,
            environment=json.loads(row.environment),
            sha256=row.sha256,
            pixel_sha256=row.pixel_sha256,
            width=row.width,
            height=row.height,
            origin=row.origin,
        )
        images.add(tx, copy)
        return copy.id


def has(store: Store, owner: str, image_id: str | None = None) -> bool:
    """Whether the owner has this image, or, where none is named, any."""
    with store.read() as tx:
        return images.one(tx, owner, image_id) is not None if image_id else images.count(tx, owner) > 0


def image_file(store: Store, owner: str, image_id: str) -> Path:
    """The PNG with its recipe. Raises `NotFound`, also if the file is missing or damaged."""
    sha256 = _sha256(store, owner, image_id)
    try:
        return store.files.find(sha256)
    except FileNotFoundError as error:
        raise _damaged() from error


def thumbnail(store: Store, owner: str, image_id: str) -> bytes:
    """A WebP at most 320 pixels wide. Raises `NotFound`, also if the file is missing or damaged."""
    sha256 = _sha256(store, owner, image_id)
    try:
        return store.files.thumbnail(sha256)
    except (FileNotFoundError, ValueError, SyntaxError) as error:
        raise _damaged() from error


def delete(store: Store, owner: str, image_id: str) -> None:
    """Delete an image, its links and, unless something else needs it, its file. Raises `NotFound`.

    What was made from it stays, and keeps the file, without which it could not be made again.
    """
    if not delete_all(store, {image_id: owner}):
        raise NotFound("There is no such image.")


def delete_all(store: Store, owners: Mapping[str, str]) -> int:
    """Delete these images, each of its owner, as `delete` does; return how many were there.

    All that are there go, and at once; a fault or a kill leaves all of them or none.
    """
    with store.write() as tx:
        rows = images.several(tx, owners)
        images.bury(tx, rows)
    erase(store, rows)
    return len(rows)


def erase(store: Store, buried: Sequence[Row[Any]]) -> None:
    """Remove what is left of images that are marked deleted.

    The files go inside the transaction, so that no image of the same file can be inserted meanwhile.
    """
    with store.write() as tx:
        hashes = {row.sha256 for row in buried}
        for sha256 in hashes - references.used(tx, hashes):
            store.files.remove(sha256)
        images.forget(tx, [row.id for row in buried])


def _mine(tx: Connection, owner: str, image_id: str) -> Row[Any]:
    row = images.one(tx, owner, image_id)
    if row is None:
        raise NotFound("There is no such image.")
    return row


def _sha256(store: Store, owner: str, image_id: str) -> str:
    with store.read() as tx:
        return str(_mine(tx, owner, image_id).sha256)


def _damaged() -> NotFound:
    return NotFound("The file of this image is missing or damaged; its recipe is still there to make it again.")


def key(text: str) -> tuple[int, str]:
    """Read the `next` of a page: a time and an id. Raises `InvalidInput` for what we did not give out."""
    time, dot, image_id = text.partition(".")
    if not (dot and image_id and time.isdecimal() and len(time) <= 15):
        raise InvalidInput([{"field": "before", "message": "This is not the `next` of a page; start without it."}])
    return int(time), image_id
