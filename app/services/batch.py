"""Several images of one request for clients that wait for them: as many as they like, within what one may have waiting.

Where `JobRequest` counts to eight, the dialects of others count further; so the recipe is made once, and multiplied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.services import generate
from app.services.catalogue import Catalogue
from app.services.edit import Sources
from app.services.errors import InvalidInput
from app.services.generate import Order
from app.services.request import JobRequest, numbered
from app.services.views import GroupView
from app.storage import jobs, task_names
from app.storage.store import Store
from models.edit import Edit
from models.recipe import Recipe

MAX_IMAGES = 64
MAX_TASK = 200  # characters of the name of a request


@dataclass(frozen=True, slots=True)
class Batch:
    """`count` images of one request, which begin from `sources` in turn, each as `edit.sources` would find it."""

    request: JobRequest
    count: int
    sources: Sequence[Sources] = ()


def submit(store: Store, catalogue: Catalogue, owner: str, batch: Batch, idempotency_key: str | None) -> GroupView:
    """Queue the images; they are on disk before this returns. Raises as `generate.submit` does.

    The same key with the same request gives the first answer again for a day.
    """
    if not 1 <= batch.count <= MAX_IMAGES:
        message = f"{batch.count} pictures at once; ask for 1 to {MAX_IMAGES}."
        raise InvalidInput([{"field": "count", "message": message}])
    return generate.submit_order(
        store,
        owner,
        lambda: Order(_recipes(catalogue, batch), _joined(batch.sources)),
        _hash(batch),
        idempotency_key,
    )


def _recipes(catalogue: Catalogue, batch: Batch) -> list[Recipe]:
    """One recipe for each image, all counting on from the same seed."""
    edits: list[Edit | None] = [source.edit for source in batch.sources]
    firsts = [recipe for edit in edits or [None] for recipe in batch.request.recipes(catalogue, edit)]
    catalogue.room.require(firsts[0], catalogue.get(batch.request.checkpoint))
    drawn = {"seed": firsts[0].seed, "subseed": firsts[0].subseed}
    turns = [first.model_copy(update=drawn) for first in firsts]
    return [numbered(turns[number % len(turns)], number) for number in range(batch.count)]


def _joined(sources: Sequence[Sources]) -> Sources | None:
    """What is to be kept for all of them."""
    brought = {sha256: png for source in sources for sha256, png in source.brought.items()}
    return replace(sources[0], brought=brought) if sources else None


def _hash(batch: Batch) -> str:
    edits = "".join(source.edit.model_dump_json() for source in batch.sources)
    text = f"{batch.request.model_dump_json()}{batch.count}{edits}"
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


def name(store: Store, owner: str, task: str, group_id: str) -> None:
    """Know a request by the name that its client gave it, for a day; a name that is given again is the last one's."""
    with store.write() as tx:
        task_names.put(tx, owner, task[:MAX_TASK], group_id)


def named(store: Store, owner: str, task: str) -> GroupView | None:
    """How the request stands that the owner gave this name of late, None if there is none."""
    with store.read() as tx:
        group_id = task_names.group(tx, owner, task[:MAX_TASK])
        return generate.group_view(tx, owner, group_id) if group_id else None


def names(store: Store, owner: str, group_ids: Iterable[str]) -> dict[str, str]:
    """The names of the owner's requests, by the ids of their groups, for those that have one."""
    with store.read() as tx:
        return task_names.of_groups(tx, owner, list(group_ids))
