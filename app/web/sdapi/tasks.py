"""The names that clients give to their requests (`force_task_id`), while these are waited for in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI

MAX_NAME = 200


class Tasks:
    """Group ids by owner and name; nobody sees another's."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], str] = {}

    @contextmanager
    def named(self, owner: str, name: str | None, group_id: str) -> Iterator[None]:
        """Know the group by `name` for as long as the block runs."""
        key = (owner, name[:MAX_NAME]) if name else None
        if key:
            self._groups[key] = group_id
        try:
            yield
        finally:
            if key:
                self._groups.pop(key, None)

    def group(self, owner: str, name: str) -> str | None:
        """The group that the owner gave this name, None if it is not waited for here."""
        return self._groups.get((owner, name[:MAX_NAME]))

    def name(self, owner: str, group_id: str) -> str | None:
        """The name that the owner gave a group."""
        return next((key[1] for key, group in self._groups.items() if group == group_id and key[0] == owner), None)


def of(app: FastAPI | Any) -> Tasks:
    """The tasks of this process."""
    if not hasattr(app.state, "tasks"):
        app.state.tasks = Tasks()
    tasks: Tasks = app.state.tasks
    return tasks
