"""Several images of one request for clients that wait for them: as many as they like, within what one may have waiting.

Where `JobRequest` counts to eight, the dialects of others count further; so the recipe is made once, and multiplied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from app.services import generate
from app.services.catalogue import Catalogue
from app.services.edit import Sources
from app.services.errors import InvalidInput
from app.services.generate import Order
from app.services.request import JobRequest, numbered
from app.services.views import GroupView
from app.storage import jobs
from app.storage.store import Store
from models.recipe import Recipe, explain

MAX_IMAGES = 64


@dataclass(frozen=True, slots=True)
class Batch:
    """`count` images of one request; `sources` is what they begin from, as `edit.sources` would find it.

    `more` are fields of the recipe as such, for what a request has other words for.
    """

    request: JobRequest
    count: int
    sources: Sources | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


def submit(store: Store, catalogue: Catalogue, owner: str, batch: Batch, idempotency_key: str | None) -> GroupView:
    """Queue the images; they are on disk before this returns. Raises as `generate.submit` does.

    The same key with the same request gives the first answer again for a day.
    """
    if not 1 <= batch.count <= MAX_IMAGES:
        message = f"{batch.count} pictures at once; ask for 1 to {MAX_IMAGES}."
        raise InvalidInput([{"field": "count", "message": message}])
    first = _recipe(catalogue, batch)
    order = Order([numbered(first, number) for number in range(batch.count)], batch.sources)
    return generate.submit_order(store, owner, order, _hash(batch), idempotency_key)


def _recipe(catalogue: Catalogue, batch: Batch) -> Recipe:
    (recipe,) = batch.request.recipes(catalogue, batch.sources.edit if batch.sources else None)
    try:
        return Recipe.model_validate({**recipe.model_dump(), **batch.more})
    except ValidationError as error:
        raise InvalidInput(explain(error)) from error


def _hash(batch: Batch) -> str:
    edit = batch.sources.edit.model_dump_json() if batch.sources else ""
    text = f"{batch.request.model_dump_json()}{batch.count}{edit}{sorted(batch.more.items(), key=str)}"
    return hashlib.sha256(text.encode()).hexdigest()


def group(store: Store, owner: str, group_id: str) -> GroupView:
    """How the images of one request stand, in order."""
    with store.read() as tx:
        return generate.group_view(tx, owner, group_id)


def open_groups(store: Store, owner: str) -> list[GroupView]:
    """The owner's requests of which something is still to be done, the oldest first."""
    with store.read() as tx:
        ids = jobs.open_groups(tx, owner)
        return [generate.group_view(tx, owner, group_id) for group_id in ids]
