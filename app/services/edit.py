"""What an edit begins from: the picture and mask that a request names or brings, checked, and kept for its jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from pydantic import ValidationError
from sqlalchemy import Connection

from app.services import pictures
from app.services.edit_request import EditFields
from app.services.errors import Conflict, InvalidInput
from app.services.pictures import Picture
from app.storage import images, references
from app.storage.store import Store
from models.edit import MAX_SIDE, MIN_SIDE, Edit, Frame

IMAGE_ID = re.compile(r"[A-Za-z0-9_-]{22}")
GRAIN = 8
HASH = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Sources:
    """An edit that can be made. `brought` are files, by hash, that are not kept yet; `parent_id` is an own image.

    `keeps_a_part` says that some pixels of the picture stay as they are.
    """

    edit: Edit
    parent_id: str | None
    brought: Mapping[str, bytes] = field(default_factory=dict)
    keeps_a_part: bool = False


@dataclass(frozen=True, slots=True)
class _Base:
    sha256: str
    width: int
    height: int
    image_id: str | None = None
    png: bytes | None = None


def sources(store: Store, owner: str, request: EditFields) -> Sources | None:
    """Find and check what a request begins from, None if that is nothing. Keeps nothing. Raises `InvalidInput`."""
    if request.image is None:
        _require_no_edit(request)
        return None
    base = _base(store, owner, request.image)
    mask = None if request.mask is None else _mask(store, owner, request.mask, base, is_scaled=request.scale_mask)
    return _joined(base, mask, request)


def of_files(image: bytes, mask: bytes | None, request: EditFields) -> Sources:
    """Check what files hold, whoever's they are, as `sources` does for what a request brings. Raises `InvalidInput`."""
    picture = pictures.image(image, "image")
    base = _Base(picture.sha256, picture.width, picture.height, png=picture.png)
    found = None
    if mask is not None:
        found = _fitting(mask, base, is_scaled=request.scale_mask)
    return _joined(base, found, request)


def _joined(base: _Base, mask: Picture | None, request: EditFields) -> Sources:
    frame = request.frame or whole(base.width, base.height)
    require_touch(frame, base.width, base.height)
    edit = Edit(image=base.sha256, mask=mask.sha256 if mask else None, frame=frame, **request.edit_settings)
    brought = {base.sha256: base.png} if base.png is not None else {}
    if mask is not None:
        brought[mask.sha256] = mask.png
    return Sources(edit, base.image_id, brought, keeps_a_part=mask is not None or _is_beyond(frame, base))


def keep(store: Store, tx: Connection, owner: str, found: Sources) -> None:
    """Write the files that were brought, within the transaction of the rows that need them. Raises `Conflict`."""
    for png in found.brought.values():
        store.files.put(png)
    if found.edit.image in found.brought:
        return
    if not references.is_of(tx, owner, found.edit.image) or not store.files.has(found.edit.image):
        raise Conflict("The picture to begin from was deleted meanwhile.")


def is_kept(store: Store, owner: str, sha256: str) -> bool:
    """Whether a request of this owner may name this file by its hash, and it is there."""
    with store.read() as tx:
        return references.is_of(tx, owner, sha256) and store.files.has(sha256)


def whole(width: int, height: int) -> Frame:
    """The frame that shows all of a picture, but for what is beyond a multiple of 8; at least 64, at most 2048 a side.

    Edits take any such size, also of checkpoints whose own pictures come in coarser steps.
    """
    across, down = (min(MAX_SIDE, max(MIN_SIDE, side)) // GRAIN * GRAIN for side in (width, height))
    return Frame(x=0, y=0, width=across, height=down)


def extended(frame: Frame, *, left: int = 0, top: int = 0, right: int = 0, bottom: int = 0) -> Frame:
    """The frame with so many pixels more on its sides. Raises `InvalidInput`."""
    sides = {
        "x": frame.x - left,
        "y": frame.y - top,
        "width": frame.width + left + right,
        "height": frame.height + top + bottom,
    }
    try:
        return Frame.model_validate(sides)
    except ValidationError as error:
        wrong = [f"its {item['loc'][0]} would be {item['input']}: {item['msg']}" for item in error.errors()]
        raise _wrong("outpaint", f"The picture cannot be extended so; {', '.join(wrong)}.") from error


def require_touch(frame: Frame, width: int, height: int) -> None:
    """Raise `InvalidInput` for a frame that shows nothing of a picture of this size."""
    across = frame.x < width and frame.x + frame.width > 0
    down = frame.y < height and frame.y + frame.height > 0
    if not (across and down):
        raise _wrong(
            "frame",
            f"The frame ({frame.width} x {frame.height} at {frame.x}, {frame.y}) does not touch the picture, "
            f"which is {width} x {height} at 0, 0.",
        )


def _base(store: Store, owner: str, named: str) -> _Base:
    if IMAGE_ID.fullmatch(named) or HASH.fullmatch(named):
        return _own(store, owner, named, "image")
    picture = pictures.image(pictures.from_base64(named, "image"), "image")
    return _Base(picture.sha256, picture.width, picture.height, png=picture.png)


def _mask(store: Store, owner: str, named: str, base: _Base, *, is_scaled: bool) -> Picture:
    if IMAGE_ID.fullmatch(named) or HASH.fullmatch(named):
        content = store.files.find(_own(store, owner, named, "mask").sha256).read_bytes()
    else:
        content = pictures.from_base64(named, "mask")
    return _fitting(content, base, is_scaled=is_scaled)


def _fitting(mask: bytes, base: _Base, *, is_scaled: bool) -> Picture:
    remedy = " Ask for `scale_mask` to have it scaled."
    return pictures.mask(mask, "mask", base.width, base.height, is_scaled=is_scaled, remedy=remedy)


def _is_beyond(frame: Frame, base: _Base) -> bool:
    return frame.x < 0 or frame.y < 0 or frame.x + frame.width > base.width or frame.y + frame.height > base.height


def _own(store: Store, owner: str, named: str, name: str) -> _Base:
    """The owner's image of this id, or the file of this hash that something of the owner's needs."""
    by_hash = HASH.fullmatch(named)
    with store.read() as tx:
        row = images.of_file(tx, owner, by_hash.group(1)) if by_hash else images.one(tx, owner, named)
        is_known = row is not None or (by_hash is not None and references.is_of(tx, owner, by_hash.group(1)))
    sha256 = row.sha256 if row else by_hash.group(1) if by_hash else ""
    if not is_known:
        remedy = " It may be deleted; upload it again." if by_hash else ""
        raise _wrong(name, f"There is no such image of yours.{remedy}")
    try:
        width, height = _size(store.files.find(sha256))
    except (FileNotFoundError, ValueError) as error:
        raise _wrong(name, "The file of this image is missing or damaged; upload it again.") from error
    if max(width, height) > pictures.MAX_SIDE and name == "image":
        raise _wrong(
            name, f"The image is {width} x {height}; a side of one to edit may have {pictures.MAX_SIDE} pixels."
        )
    return _Base(sha256, width, height, image_id=row.id if row else None)


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path, formats=["PNG"]) as image:
        return image.size


def _require_no_edit(request: EditFields) -> None:
    said = [name for name in ("mask", "frame") if getattr(request, name) is not None] + list(request.edit_settings)
    if said:
        raise InvalidInput([{"field": name, "message": "This goes with `image`, which is missing."} for name in said])


def _wrong(name: str, message: str) -> InvalidInput:
    return InvalidInput([{"field": name, "message": message}])
