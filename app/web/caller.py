"""Which program asks: by its API key, or the one `local` owner where only this machine can reach us.

Programs of the A1111 and OpenAI dialects send no cookie, so it is not looked at there. `require_known` is for our own
API, where a browser's cookie is enough.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from anyio import to_thread
from fastapi import Depends
from starlette.requests import HTTPConnection

from app.exposure import is_loopback
from app.services import keys
from app.services.errors import ServiceError
from app.services.store import Store
from app.settings import Settings
from app.web.security import LOOPBACK_NAMES, host_name

COOKIE = "mezzotint"


def given_key(connection: HTTPConnection) -> str:
    """Return the key in `Authorization`, "" if there is none: Bearer, or Basic with the key as password or name."""
    scheme, _, value = connection.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return value
    return password or name


def is_local(connection: HTTPConnection) -> bool:
    """Tell whether only this machine can have asked: it is all that we listen to, and it called us by such a name."""
    return _is_private(connection) and host_name(connection.headers.get("host", "")) in LOOPBACK_NAMES


def _is_private(connection: HTTPConnection) -> bool:
    settings: Settings = connection.app.state.settings
    return is_loopback(settings.host) and not settings.public


async def key_owner(connection: HTTPConnection) -> str | None:
    """Return whom the key of this request stands for, None if it brings none. Raises a 401 for a key that is wrong."""
    key = given_key(connection)
    if not key:
        return None
    store: Store = connection.app.state.store
    owner = await to_thread.run_sync(keys.owner_of, store, key)
    if owner is None:
        raise _unknown("This API key was never made here, or has been revoked.")
    return owner


async def current_caller(connection: HTTPConnection) -> str:
    """Return the owner of a request in one of the dialects. Raises a 401.

    Clients that cannot leave their key empty send anything; so a local server without keys takes any.
    """
    store: Store = connection.app.state.store
    must_be_known = not is_local(connection)
    may_be_known = bool(given_key(connection)) and await to_thread.run_sync(lambda: keys.are_in_use(store))
    owner = await key_owner(connection) if must_be_known or may_be_known else None
    if owner is None and must_be_known:
        raise _unknown("Send an API key; `python3 -m app keys create --name NAME` makes one.")
    return owner or keys.LOCAL


async def require_known(connection: HTTPConnection) -> None:
    """Raise a 401 where other machines can reach us and a program brings neither a key nor a browser's cookie."""
    if _is_private(connection) or given_key(connection):
        return
    if connection.app.state.owner_cookies.read(connection.cookies.get(COOKIE, "")) is not None:
        return
    raise _unknown("Send an API key (Authorization: Bearer), or open a page first: its cookie is enough.")


def _unknown(message: str) -> ServiceError:
    return ServiceError(401, "invalid_api_key", message, field="Authorization")


Caller = Annotated[str, Depends(current_caller)]
