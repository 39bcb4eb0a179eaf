"""Routes that no page needs: their modules are imported when one of them is asked for, or soon after the start.

They are a sixth of what the web process would import before it could show the first page.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import cache

from starlette.routing import BaseRoute, Router
from starlette.types import Receive, Scope, Send

from app.collector import settled

SOON_SECONDS = 0.5


class Later:
    """What a router does about an address that it does not know: take in the other routes, and look again."""

    def __init__(self, router: Router, routes: Callable[[], Sequence[BaseRoute]]) -> None:
        self._router, self._routes = router, routes
        self._refuse = router.default
        self._lock, self._is_loaded = threading.Lock(), False
        router.default = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_loaded:
            await self._refuse(scope, receive, send)
            return
        await asyncio.to_thread(self.load)
        await self._router.app(scope, receive, send)

    def load(self) -> None:
        """Take them in now, from any thread."""
        with self._lock:
            if not self._is_loaded:
                self._router.routes.extend(self._routes())
                self._is_loaded = True

    def load_soon(self) -> None:
        """Take them in when whoever waits for the first page has it."""
        load = threading.Thread(target=self.load, name="later", daemon=True)
        asyncio.get_running_loop().call_later(SOON_SECONDS, load.start)


@cache
def interfaces() -> list[BaseRoute]:
    """The routes of the interfaces for programs, and of the page about them; the same for every app of this process."""
    with settled():
        from app.web import openai, sdapi
        from app.web.api import canvases, checkpoints, images, jobs, shares
        from app.web.pages import docs

    modules = (jobs, images, canvases, shares, checkpoints)
    routers = (*(module.router for module in modules), *sdapi.PARTS, *openai.PARTS, docs.router)
    return [route for router in routers for route in router.routes]
