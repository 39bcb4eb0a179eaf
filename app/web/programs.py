"""The pictures that programs made without a key: everybody at this machine may see them, so its browsers do too.

They belong to the owner `local`, whom any program that reaches this address may act for; nobody is kept from anything
by keeping them from the gallery. Where other machines can reach the server there is no such owner.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.services import gallery, keys
from app.services.store import Store
from app.web.caller import is_local
from app.web.dependencies import Owner, StoreDep


def owner_of(request: Request, store: Store, owner: str, image_id: str) -> str:
    """Return for whom a browser looks at this image: `local` for what programs made here, else its own owner."""
    is_theirs = is_local(request) and gallery.has(store, keys.LOCAL, image_id)
    return keys.LOCAL if is_theirs else owner


def _image_owner(request: Request, store: StoreDep, owner: Owner, image_id: str) -> str:
    return owner_of(request, store, owner, image_id)


def has_pictures(request: Request, store: Store) -> bool:
    """Whether there is anything of programs to show."""
    return is_local(request) and gallery.has(store, keys.LOCAL)


ImageOwner = Annotated[str, Depends(_image_owner)]
