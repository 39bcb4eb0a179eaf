"""Pages of other origins, where the operator has named them; and paths of programs that end in a slash.

Without `cors_origins` no other site can read an answer, or send what needs a preflight. With it, pages of those origins
may use the APIs, never our own pages, and never with our cookie: a browser sends that to us from any port of the same
host, so it is not looked at, and none is given.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import Settings
from app.web.dialects import DIALECTS, PROGRAMS
from app.web.security import is_same_origin

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
        self._origins = frozenset(settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PROGRAMS):
            await self._plain(scope, receive, send)
            return
        if scope["path"].startswith(DIALECTS):
            scope["path"] = scope["path"].rstrip("/")
        request = Request(scope)
        if request.headers.get("origin") in self._origins and not is_same_origin(request):
            scope["headers"] = [header for header in scope["headers"] if header[0] != b"cookie"]
            send = _without_cookie(send)
        await (self._invited if self._origins else self._plain)(scope, receive, send)


def _without_cookie(send: Send) -> Send:
    """Leave out the cookie of a new owner, which would take the place of the browser's own."""

    async def send_without(message: Message) -> None:
        if message["type"] == "http.response.start":
            del MutableHeaders(scope=message)["set-cookie"]
        await send(message)

    return send_without
