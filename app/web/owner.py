"""Who asks: an anonymous owner id in a signed cookie, until accounts exist.

The key is made at first use in the data folder (`owner.key`, mode 0600). A route that takes `Owner` gets the id and,
where the browser had none, gives it one; a route that does not take it (share pages, health) sets no cookie.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import Annotated

from fastapi import Depends
from itsdangerous import BadSignature, URLSafeSerializer, URLSafeTimedSerializer
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.caller import COOKIE as COOKIE
from app.web.caller import key_owner

KEY_FILE = "owner.key"
COOKIE_SECONDS = 400 * 86_400  # the longest that browsers keep a cookie
RENEW_DAYS = 30
_FRESH_COOKIE = "owner_cookie"


class OwnerCookies:
    """Sign and read owner cookies with the key of one data folder."""

    def __init__(self, data: Path) -> None:
        self._key = _load_key(data / KEY_FILE)
        self._serializer = URLSafeSerializer(self._key, salt="owner")

    def read(self, cookie: str) -> tuple[str, int] | None:
        """Return (owner, day of issue), or None if the cookie is not ours."""
        try:
            owner, day = self._serializer.loads(cookie)
        except (BadSignature, TypeError, ValueError):
            return None
        return owner, day

    def write(self, owner: str, day: int) -> str:
        """Return the value of a cookie that names `owner`; it never changes for the same day."""
        value = self._serializer.dumps([owner, day])
        return value.decode() if isinstance(value, bytes) else value

    def signer(self, purpose: str) -> URLSafeTimedSerializer:
        """Return what signs something else with the same key; nothing signed for one purpose counts for another."""
        return URLSafeTimedSerializer(self._key, salt=purpose)


def _load_key(path: Path) -> bytes:
    """Return the key in `path`; make it, complete and with mode 0600, if there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(descriptor)
        _publish(draft, path)
    return path.read_bytes()


def _publish(draft: Path, path: Path) -> None:
    """Give `draft` its final name unless another process was first; its key then holds for both."""
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


async def current_owner(connection: HTTPConnection) -> str:
    """Return the owner of this request: its API key's, else its cookie's; where it sent neither, a new one's.

    Raises a 401 for a key that is wrong.
    """
    by_key = await key_owner(connection)
    if by_key is not None:
        return by_key
    cookies: OwnerCookies = connection.app.state.owner_cookies
    today = int(time.time() // 86_400)
    known = cookies.read(connection.cookies.get(COOKIE, ""))
    if known and abs(today - known[1]) < RENEW_DAYS:
        return known[0]
    owner = known[0] if known else secrets.token_urlsafe(16)
    setattr(connection.state, _FRESH_COOKIE, cookies.write(owner, today))
    return owner


Owner = Annotated[str, Depends(current_owner)]


class OwnerCookieMiddleware:
    """Send the cookie that `current_owner` asked for, whatever kind of answer the route gave."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_with_cookie(message: Message) -> None:
            value = state.get(_FRESH_COOKIE)
            if message["type"] == "http.response.start" and value:
                MutableHeaders(scope=message).append("set-cookie", _set_cookie(value, scope["scheme"] == "https"))
            await send(message)

        await self.app(scope, receive, send_with_cookie)


def _set_cookie(value: str, secure: bool) -> str:
    response = Response()
    response.set_cookie(COOKIE, value, max_age=COOKIE_SECONDS, path="/", secure=secure, httponly=True, samesite="lax")
    return response.headers["set-cookie"]
