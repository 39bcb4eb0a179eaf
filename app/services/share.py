"""Links by which a stranger sees one image and nothing else. The database keeps only the hash of a link's token."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row

from app.metadata.write import Kind as FileKind
from app.metadata.write import convert
from app.services import read
from app.services.errors import Conflict, NotFound
from app.services.views import SharedImage
from app.storage import images, jobs, shares
from app.storage.store import Store

TOKEN_BYTES = 24
MAX_LINKS = 100  # to an image, since each page of the gallery reads them all
ALT_OF_UPLOAD = "A picture shared with Mezzotint"
ALT_WITHOUT_PROMPT = "A picture made with Mezzotint; its prompt is not shared."


def create(store: Store, owner: str, image_id: str, *, show_recipe: bool = False) -> str:
    """Make a link to the owner's image and return its token, which cannot be shown again.

    Raises `NotFound` and, where it has too many, `Conflict`.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with store.write() as tx:
        if images.one(tx, owner, image_id) is None:
            raise NotFound("There is no such image.")
        if shares.count(tx, image_id) >= MAX_LINKS:
            raise Conflict(f"This picture has {MAX_LINKS} links and may have no more; revoke one.")
        shares.add(tx, jobs.new_id(), _hash(token), image_id, owner, show_recipe=show_recipe)
    return token


def revoke(store: Store, owner: str, token_or_share_id: str) -> None:
    """End a link of the owner's; ending it twice is no error. Raises `NotFound`."""
    with store.write() as tx:
        if not shares.revoke(tx, owner, token_or_share_id, _hash(token_or_share_id)):
            raise NotFound("There is no such link.")


def resolve(store: Store, token: str) -> SharedImage:
    """What the holder of the token may see, which is nothing of what the image was made from.

    Raises `NotFound`, also for a link that was revoked.
    """
    with store.read() as tx:
        row = _shared(tx, token)
        image = replace(read.image_view(row), id="", environment={}, match=None, parent_id=None)
    if image.recipe is None:
        return SharedImage(image, alt=ALT_OF_UPLOAD)
    if row.show_recipe:
        return SharedImage(replace(image, recipe=image.recipe.model_copy(update={"edit": None})), image.alt)
    return SharedImage(replace(image, recipe=None), alt=ALT_WITHOUT_PROMPT)


def shared_png(store: Store, token: str) -> bytes:
    """The PNG behind a link, without the recipe inside unless the owner shows it. Raises `NotFound`."""
    with store.read() as tx:
        row = _shared(tx, token)
    try:
        return store.files.shared(row.sha256) if row.show_recipe else store.files.plain(row.sha256)
    except (FileNotFoundError, ValueError) as error:
        raise NotFound("The file of this image is missing or damaged.") from error


def shared_as(store: Store, token: str, kind: FileKind) -> bytes:
    """The same as another kind of file. Raises `NotFound`."""
    try:
        return convert(shared_png(store, token), kind)
    except (OSError, ValueError) as error:
        raise NotFound("The file of this image is missing or damaged.") from error


def _shared(tx: Connection, token: str) -> Row[Any]:
    row = images.shared(tx, _hash(token))
    if row is None:
        raise NotFound("This link leads nowhere: it was never made, or has been revoked.")
    return row


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
