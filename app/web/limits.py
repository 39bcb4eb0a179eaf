"""How much a client may send, and how many streams it may hold open."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.services.errors import ServiceError, TooMany
from app.web.errors import error_response

MAX_HEADERS = 16 * 1024  # bytes
MIB = 2**20

STREAMS_PER_OWNER = 10
STREAMS = 500
RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """How large a body may be, and how long all of it may take to arrive."""

    size: int  # bytes
    seconds: float

    @property
    def too_large(self) -> str:
        return f"The request is larger than {self.size // MIB} MiB."

    @property
    def too_slow(self) -> str:
        return f"The request did not arrive within {self.seconds:.0f} seconds."


FORM = BodyLimit(MIB, 20.0)
FILE = BodyLimit(21 * MIB, 60.0)  # a file of 20 MiB and what multipart puts around it
FILES = BodyLimit(32 * MIB, 60.0)  # a picture and its mask, or both in base64 within JSON
BODY_LIMITS = (
    ("POST", re.compile(r"/sdapi/v1/(txt2img|img2img|extra-(single-image|batch-images)|png-info|interrogate)"), FILES),
    ("POST", re.compile(r"/v1/images/(edits|variations)"), FILES),
    ("POST", re.compile(r"/api/jobs"), FILES),
    ("POST", re.compile(r"/api/images|/canvas|/inspect"), FILE),
    ("PUT", re.compile(r"/api/canvases/[^/]+/mask"), FILE),
)


def body_limit(method: str, path: str) -> BodyLimit:
    """Return the limit of a route: prompts and forms are short, few routes take files."""
    matching = (limit for verb, pattern, limit in BODY_LIMITS if verb == method and pattern.fullmatch(path))
    return next(matching, FORM)


class RequestLimits:
    """Refuse headers and bodies that are too large before any of a body is kept, and a body that trickles in."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        limit = body_limit(scope["method"], scope["path"])
        refusal = _refusal(request, limit)
        if refusal:
            await error_response(request, *refusal, headers={"Connection": "close"})(scope, receive, send)
            return
        await self.app(scope, _limited(receive, limit), send)


def _refusal(request: Request, limit: BodyLimit) -> tuple[int, str, str] | None:
    if sum(len(name) + len(value) for name, value in request.headers.raw) > MAX_HEADERS:
        return 431, "headers_too_large", f"The headers are larger than {MAX_HEADERS // 1024} KiB."
    if _declared_length(request, limit) > limit.size:
        return 413, "too_large", limit.too_large
    return None


def _declared_length(request: Request, limit: BodyLimit) -> int:
    length = request.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else limit.size + 1


def _limited(receive: Receive, limit: BodyLimit) -> Receive:
    """Count what arrives. What it raises reaches the client as an answer, since routes read the body, not we."""
    deadline = asyncio.get_running_loop().time() + limit.seconds
    received, complete = 0, False

    async def limited() -> Message:
        nonlocal received, complete
        if complete:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, limit.too_slow, headers={"Connection": "close"}) from None
        received += len(message.get("body", b""))
        if received > limit.size:
            raise HTTPException(413, limit.too_large, headers={"Connection": "close"})
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

    @contextmanager
    def hold(self, owner: str) -> Iterator[None]:
        """Count one stream of `owner` while the block runs. Raises `TooMany`, or a 503, if it would be one too many."""
        if self._open[owner] >= STREAMS_PER_OWNER:
            message = f"This browser already follows {STREAMS_PER_OWNER} streams; close a tab."
            raise TooMany(message, RETRY_SECONDS)
        if self.count >= STREAMS or self.is_closing:
            raise ServiceError(503, "busy", "Too many streams are open; try again soon.", retry_after=RETRY_SECONDS)
        self._open[owner] += 1
        try:
            yield
        finally:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]
