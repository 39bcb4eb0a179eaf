"""Who may talk to us, from where, and what a browser may do with the answer.

`Guard` refuses foreign host names (DNS rebinding) and unsafe requests that another site started (CSRF). A request
with neither `Sec-Fetch-Site` nor `Origin` is let through: every browser sends one of them with an unsafe request, so
it comes from a program, which nobody can trick into spending a cookie; so does one with a bearer key, which no page of
another site can send unasked. Pages of configured origins may use the APIs (`app.web.cors`). `Headers` puts the policy
on every answer.
"""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.exposure import ip_address_of
from app.settings import Settings
from app.web.dialects import PROGRAMS
from app.web.errors import error_response

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
IMAGE_POLICY = "sandbox; default-src 'none'"
PLAIN_POLICY = "default-src 'none'; frame-ancestors 'none'"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SHARE_PREFIX = "/s/"


def host_name(netloc: str) -> str:
    """Return the lower-case name in `name:port`, without brackets; "" if it is malformed."""
    try:
        parts = urlsplit(f"//{netloc}")
        _ = parts.port
    except ValueError:
        return ""
    is_plain = parts.netloc == netloc and not (parts.path or parts.query or parts.fragment or parts.username)
    return (parts.hostname or "") if is_plain else ""


class Guard:
    """Answer 400 to unknown hosts and 403 to unsafe requests that started on another site."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._names = LOOPBACK_NAMES | {name.lower() for name in (settings.host, *settings.allowed_hosts)}
        self._origins = frozenset(settings.cors_origins)
        self._takes_addresses = settings.public  # a rebound name is never an address, so addresses are safe to take

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        refusal = self._refusal(request)
        if refusal is None:
            await self.app(scope, receive, send)
            return
        await error_response(request, *refusal)(scope, receive, send)

    def _refusal(self, request: Request) -> tuple[int, str, str] | None:
        if not self._knows(request.headers.getlist("host")):
            return 400, "unknown_host", "This server does not answer to that host name; see --allowed-hosts."
        if request.method not in SAFE_METHODS and not self._is_ours(request):
            return 403, "cross_site", "This request was started by another site, so it was refused."
        return None

    def _is_ours(self, request: Request) -> bool:
        if request.headers.get("authorization", "").lower().startswith("bearer "):
            return True
        is_invited = request.headers.get("origin") in self._origins and request.scope["path"].startswith(PROGRAMS)
        return is_invited or is_same_origin(request)

    def _knows(self, hosts: list[str]) -> bool:
        if len(hosts) != 1:
            return False
        name = host_name(hosts[0])
        return name in self._names or (self._takes_addresses and ip_address_of(name) is not None)


def is_same_origin(request: Request) -> bool:
    """Tell whether one of our own pages asks, or a person, or a program that is no browser."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return True
    scheme, _, netloc = origin.partition("://")
    return scheme in ("http", "https") and netloc.lower() == request.headers.get("host", "").lower()


class Headers:
    """Give each answer a request id and, where the route has not chosen otherwise, the strictest policy of its kind."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["request_id"] = secrets.token_hex(8)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), scope)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _add_headers(headers: MutableHeaders, scope: Scope) -> None:
    is_page = headers.get("content-type", "").startswith("text/html")
    is_share = scope["path"].startswith(SHARE_PREFIX)
    headers["X-Request-Id"] = scope["request_id"]
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Content-Security-Policy", PAGE_POLICY if is_page else PLAIN_POLICY)
    headers.setdefault("Cache-Control", "private, no-store")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Referrer-Policy", "no-referrer" if is_share else "same-origin")
    if is_share:
        headers["X-Robots-Tag"] = "noindex"
