"""The dispatcher's transactions, each a plain function for a thread: claim, hold, put back, rescue from the dead."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from app.storage import leases, references
from app.storage.errors import LeaseLost
from app.storage.leases import Lease
from app.storage.store import Store
from models.recipe import Recipe

MAX_UNSTARTED = 2  # jobs that one checkpoint may have in the engine before it is loaded


class InputMissing(Exception):  # noqa: N818
    """A file that a job begins from is gone or damaged; the message is for the job's owner."""


def inputs(store: Store, recipe: Recipe) -> dict[str, bytes]:
    """Read the files that a recipe is carried out with, by their SHA-256. Raises `InputMissing`."""
    try:
        return {sha256: store.files.find(sha256).read_bytes() for sha256 in references.inputs_of(recipe)}
    except FileNotFoundError as error:
        message = "The picture or mask that this edit begins from is missing or damaged; upload it again."
        raise InputMissing(message) from error


@dataclass(frozen=True, slots=True)
class Ready:
    """The checkpoints that an engine has loaded; None: it does not tell."""

    names: frozenset[str] | None


def is_waiting(store: Store, newcomers: bool = False) -> bool:
    """Whether any job could be claimed now; with `newcomers`, any of an owner who has none running."""
    with store.read() as tx:
        return leases.waiting(tx, newcomers=newcomers)


def claim(
    store: Store, holder: str, lease_ms: int, crowded: Set[str] = frozenset(), newcomers: bool = False
) -> Lease | None:
    """Take the next job, None if there is none that may run now; one of a `crowded` checkpoint may not.

    With `newcomers` only one of an owner who has none running may.
    """
    with store.note() as tx:
        return leases.claim(tx, holder, lease_ms, crowded, newcomers=newcomers)


def ready(status: Mapping[str, Any]) -> Ready:
    """The checkpoints that an engine has loaded, None if it does not tell."""
    listed = status.get("checkpoints")
    return Ready(None if listed is None else frozenset(item["name"] for item in listed if item["state"] == "ready"))


def crowded(unstarted: Iterable[str], ready: Ready) -> frozenset[str]:
    """The checkpoints that are not loaded and have as many jobs waiting in the engine as they may."""
    if ready.names is None:
        return frozenset()
    counts = Counter(name for name in unstarted if name not in ready.names)
    return frozenset(name for name, count in counts.items() if count >= MAX_UNSTARTED)


def renew(store: Store, holder: str, lease_ms: int) -> None:
    """Hold all jobs of this holder for another while."""
    with store.note() as tx:
        leases.renew(tx, holder, lease_ms)


def held(store: Store, holder: str) -> set[str]:
    """The tokens of the leases that this holder has."""
    with store.read() as tx:
        return leases.held(tx, holder)


def is_taken_over(store: Store, lease: Lease) -> bool:
    """Whether a lost lease went to another process, and was not ended by the job's owner."""
    with store.read() as tx:
        return leases.is_taken_over(tx, lease)


def note_progress(store: Store, lease: Lease, event: Mapping[str, Any]) -> None:
    """Write down an engine's `progress` event. Raises `LeaseLost`."""
    preview = event.get("preview")
    with store.note(lease.owner) as tx:
        leases.progress(tx, lease, event["step"], event["steps"], base64.b64decode(preview) if preview else None)


def settle(store: Store, change: Callable[..., Any], lease: Lease, *arguments: Any) -> None:
    """Make one of the changes of `leases` that end a run. Raises `LeaseLost`."""
    with store.write() as tx:
        change(tx, lease, *arguments)


def give_back_all(store: Store, holder: str) -> None:
    """Put back all jobs of this holder; their attempts do not count."""
    with store.write() as tx:
        for name, lease in leases.running(tx):
            if name == holder:
                leases.give_back(tx, lease)


def rescue(store: Store, holder: str, known: Set[str], max_attempts: int) -> int:
    """Put back the jobs that nobody works on any more. Returns how many.

    Those of a process that has ended, at once; those of one that is silent for the length of a lease; and those of our
    own (`known` are the tokens that we do work on) whose end could not be written.
    """
    dead = frozenset(store.holders.dead())
    with store.read() as tx:
        lost = leases.abandoned(tx, holder, known, dead)
    if lost:
        with store.write() as tx:
            for name, lease in lost:
                _put_back(tx, lease, max_attempts, is_ours=name == holder)
    for name in dead:
        store.holders.remove(name)
    return len(lost)


def _put_back(tx: Any, lease: Lease, max_attempts: int, *, is_ours: bool) -> None:
    with suppress(LeaseLost):
        if is_ours:
            leases.give_back(tx, lease)
        else:
            leases.crashed(tx, lease, max_attempts)
