"""Pictures that were not made here: decoded, written anew, and kept in the gallery like those that were."""

from __future__ import annotations

from app.services import pictures, read
from app.services.errors import Conflict, DiskFull
from app.services.generate import has_space
from app.services.views import ImageView
from app.storage import images, jobs
from app.storage.images import UPLOAD, NewImage
from app.storage.store import Store


def add(store: Store, owner: str, content: bytes, field: str = "file") -> ImageView:
    """Keep a PNG, JPEG or WebP as an image of the owner's, at most 2048 pixels a side, upright and in sRGB.

    Raises `InvalidInput`, `Conflict` for one too many, and `DiskFull`; then nothing is kept.
    """
    picture = pictures.shrunk_image(content, field)
    image = NewImage(
        id=jobs.new_id(),
        job_id=None,
        owner=owner,
        recipe=None,
        environment={},
        sha256=picture.sha256,
        pixel_sha256=picture.pixel_sha256,
        width=picture.width,
        height=picture.height,
        origin=UPLOAD,
    )
    limit = store.settings.max_uploads
    with store.write() as tx:
        if images.count(tx, owner, UPLOAD) >= limit:
            raise Conflict(f"You have uploaded {limit} pictures and may keep no more; delete some.")
        if not has_space(store):
            raise DiskFull
        store.files.put(picture.png)
        images.add(tx, image)
        row = images.one(tx, owner, image.id)
        assert row is not None
        return read.image_view(row)
