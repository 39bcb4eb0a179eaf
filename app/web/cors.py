"""Pages of other origins, where the operator has named them; and paths of programs that end in a slash.

Without `cors_origins` no other site can read an answer, or send what needs a preflight. With it, pages of those origins
may use the APIs, never our own pages, and never with our cookie.
"""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.settings import Settings
from app.web.dialects import DIALECTS, PROGRAMS

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SHOWN = ("X-Request-Id", "Retry-After", "x-should-retry")


class Programs:
    """Answer preflights of invited origins, and serve `/sdapi/v1/options/` as `/sdapi/v1/options`."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._plain = app
        self._invited = CORSMiddleware(
            app,
            allow_origins=list(settings.cors_origins),
            allow_methods=METHODS,
            allow_headers=["*"],
            expose_headers=SHOWN,
        )
        self._has_origins = bool(settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PROGRAMS):
            await self._plain(scope, receive, send)
            return
        if scope["path"].startswith(DIALECTS):
            scope["path"] = scope["path"].rstrip("/")
        await (self._invited if self._has_origins else self._plain)(scope, receive, send)
