"""How much a client may send, and how many streams it may hold open."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.services.errors import ServiceError, TooMany
from app.web.errors import error_response

MAX_HEADERS = 16 * 1024  # bytes
MAX_BODY = 2**20  # bytes; prompts and forms, nothing is uploaded yet
BODY_SECONDS = 20.0  # for a whole body
TOO_LARGE = f"The request is larger than {MAX_BODY // 2**20} MiB."
TOO_SLOW = f"The request did not arrive within {BODY_SECONDS:.0f} seconds."

STREAMS_PER_OWNER = 10
STREAMS = 500
RETRY_SECONDS = 5


class RequestLimits:
    """Refuse headers and bodies that are too large before any of a body is kept, and a body that trickles in."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        refusal = _refusal(request)
        if refusal:
            await error_response(request, *refusal, headers={"Connection": "close"})(scope, receive, send)
            return
        await self.app(scope, _limited(receive), send)


def _refusal(request: Request) -> tuple[int, str, str] | None:
    if sum(len(name) + len(value) for name, value in request.headers.raw) > MAX_HEADERS:
        return 431, "headers_too_large", f"The headers are larger than {MAX_HEADERS // 1024} KiB."
    if _declared_length(request) > MAX_BODY:
        return 413, "too_large", TOO_LARGE
    return None


def _declared_length(request: Request) -> int:
    length = request.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else MAX_BODY + 1


def _limited(receive: Receive) -> Receive:
    """Count what arrives. What it raises reaches the client as an answer, since routes read the body, not we."""
    deadline = asyncio.get_running_loop().time() + BODY_SECONDS
    received, complete = 0, False

    async def limited() -> Message:
        nonlocal received, complete
        if complete:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, TOO_SLOW, headers={"Connection": "close"}) from None
        received += len(message.get("body", b""))
        if received > MAX_BODY:
            raise HTTPException(413, TOO_LARGE, headers={"Connection": "close"})
        complete = not message.get("more_body", False)
        return message

    return limited


class Streams:
    """The event streams that are open, by owner, and whether they are to end."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self.is_closing = False

    @property
    def count(self) -> int:
        return self._open.total()

    def require_room(self, owner: str) -> None:
        """Raise `TooMany`, or a 503, when one more would be too many."""
        if self._open[owner] >= STREAMS_PER_OWNER:
            message = f"This browser already follows {STREAMS_PER_OWNER} streams; close a tab."
            raise TooMany(message, RETRY_SECONDS)
        if self.count >= STREAMS or self.is_closing:
            raise ServiceError(503, "busy", "Too many streams are open; try again soon.", retry_after=RETRY_SECONDS)

    @contextmanager
    def hold(self, owner: str) -> Iterator[None]:
        """Count one stream of `owner` for as long as the block runs."""
        self._open[owner] += 1
        try:
            yield
        finally:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]
