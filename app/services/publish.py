"""Making the engine's pixels an image of the gallery: file first, then its row, the job's end and the event at once."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.metadata.png import encode_png, term_of_edit
from app.metadata.xmp import COMPOSITE, TRAINED
from app.storage import images, jobs, leases
from app.storage.images import NewImage
from app.storage.leases import Lease
from app.storage.store import Store
from models.recipe import Recipe


class DamagedImage(ValueError):  # noqa: N818
    """The pixels that arrived are not those that the engine sent."""


def publish(store: Store, lease: Lease, event: Mapping[str, Any]) -> str:
    """Keep the picture of an engine's `image` event and return the image's id.

    Raises `LeaseLost` if the job is no longer ours, `DiskFull`, and `DamagedImage`.
    """
    width, height, rgb = event["width"], event["height"], base64.b64decode(event["rgb"])
    if len(rgb) != width * height * 3 or hashlib.sha256(rgb).hexdigest() != event["pixel_sha256"]:
        raise DamagedImage(f"{len(rgb)} bytes of a picture of {width}x{height} do not match their hash")
    shown = lease.recipe if store.settings.prompt_in_files else None
    png = encode_png(rgb, width, height, shown, event["environment"], _term(store, lease.recipe))
    sha256 = store.files.put(png)
    with contextlib.suppress(OSError):  # it will be made when it is asked for
        store.files.thumbnail(sha256)
    image = NewImage(
        id=jobs.new_id(),
        job_id=lease.job_id,
        owner=lease.owner,
        recipe=lease.recipe,
        environment=event["environment"] | ({} if event.get("match") is None else {"match": event["match"]}),
        sha256=sha256,
        pixel_sha256=event["pixel_sha256"],
        width=width,
        height=height,
    )
    with store.write() as tx:
        leases.finish(tx, lease, image.id)
        images.add(tx, replace(image, parent_id=jobs.parent(tx, lease.job_id)))
        if not store.files.has(sha256):  # an equal image was deleted since; nobody can delete it now
            store.files.put(png)
    return image.id


def _term(store: Store, recipe: Recipe) -> str:
    """Return IPTC's word for a picture of this recipe, by what it begins from."""
    if recipe.edit is None:
        return TRAINED
    try:
        return term_of_edit(store.files.find(recipe.edit.image).read_bytes())
    except (FileNotFoundError, ValueError):
        return COMPOSITE
