"""What routes are given. `Owner` is in `owner.py`; everything else that a page or an endpoint asks for is here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query
from starlette.requests import HTTPConnection

from app.services import gallery
from app.services.catalogue import Catalogue
from app.services.store import Store
from app.settings import Settings
from app.web.owner import Owner

__all__ = ["Before", "CatalogueDep", "EngineStatus", "EngineStatusDep", "Limit", "Owner", "Search", "SettingsDep"]
__all__ += ["StoreDep"]

Before = Annotated[str | None, Query(description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=gallery.MAX_PAGE)]
Search = Annotated[
    str,
    Query(
        json_schema_extra={"maxLength": gallery.MAX_QUERY},
        description="Words that must all be in the prompt, or be of the checkpoint, the sampler, the size (`512x768`) "
        "or `upload`; a number must be there as a whole one, or be the seed. A page may then hold fewer images than "
        "`limit` and still have a `next`.",
    ),
]
STATUS_SECONDS = 0.5
LATE_SECONDS = 1.5


@dataclass(frozen=True)
class EngineStatus:
    """What the engine said last: `state` is `starting` (nobody listens yet), `loading`, `ready` or `failed`."""

    state: str
    error: str | None
    details: dict[str, Any]

    @property
    def is_ready(self) -> bool:
        return self.state == "ready"

    @property
    def device(self) -> str | None:
        return self.details.get("device")

    @property
    def dtype(self) -> str | None:
        return self.details.get("dtype")

    @property
    def checkpoints(self) -> list[dict[str, Any]]:
        """`[{name, state: available | loading | ready | failed, error}]`."""
        return list(self.details.get("checkpoints", []))

    @property
    def metrics(self) -> dict[str, Any]:
        return dict(self.details.get("metrics", {}))


class EngineWatch:
    """Ask the engine for its status at most every half second, however many requests want to know.

    `ask` returns what the engine answers, None if nobody does. While an answer is late the last one holds.
    """

    def __init__(self, ask: Callable[[], Awaitable[dict[str, Any] | None]]) -> None:
        self._ask = ask
        self._lock = asyncio.Lock()
        self._asked = float("-inf")
        self._last = EngineStatus("starting", None, {})

    async def status(self) -> EngineStatus:
        async with self._lock:
            if time.monotonic() - self._asked > STATUS_SECONDS:
                with suppress(TimeoutError):
                    self._last = await self._answer()
                self._asked = time.monotonic()
            return self._last

    async def _answer(self) -> EngineStatus:
        async with asyncio.timeout(LATE_SECONDS):
            details = await self._ask()
        if details is None:
            return EngineStatus("starting", None, {})
        return EngineStatus(details["state"], details.get("error"), details)


async def _store(connection: HTTPConnection) -> Store:
    store: Store = connection.app.state.store
    return store


async def _catalogue(connection: HTTPConnection) -> Catalogue:
    catalogue: Catalogue = connection.app.state.catalogue
    return catalogue


async def _settings(connection: HTTPConnection) -> Settings:
    settings: Settings = connection.app.state.settings
    return settings


async def _engine_status(connection: HTTPConnection) -> EngineStatus:
    watch: EngineWatch = connection.app.state.engine_watch
    return await watch.status()


StoreDep = Annotated[Store, Depends(_store)]
CatalogueDep = Annotated[Catalogue, Depends(_catalogue)]
SettingsDep = Annotated[Settings, Depends(_settings)]
EngineStatusDep = Annotated[EngineStatus, Depends(_engine_status)]
