"""What every request to the JSON API must be before its route looks at it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.datastructures import UploadFile

from app.services.errors import InvalidInput, ServiceError

MULTIPART = "multipart/form-data"
BINARY: dict[str, Any] = {"type": "string", "format": "binary"}
FILE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A PNG, JPEG or WebP file, by itself or as the field `file`.",
        "content": {
            "image/png": {"schema": BINARY},
            "image/jpeg": {"schema": BINARY},
            "image/webp": {"schema": BINARY},
            MULTIPART: {"schema": {"type": "object", "required": ["file"], "properties": {"file": BINARY}}},
        },
    }
}


def media_type_of(request: Request) -> str:
    """Return the type that the body is said to be of, without parameters; "" if none is said."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def file_of(request: Request) -> bytes:
    """Return the file that a body is, or that its field `file` holds. Raises `InvalidInput`, and a 415."""
    media_type = media_type_of(request)
    if media_type == MULTIPART:
        async with request.form(max_files=1, max_fields=8) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise InvalidInput([{"field": "file", "message": "Send the picture as a file in the field `file`."}])
            return await file.read()
    if media_type.startswith("image/") or media_type == "application/octet-stream":
        return await request.body()
    message = f"Send image/png, image/jpeg, image/webp or {MULTIPART}; this one is {media_type or 'of no type'}."
    raise ServiceError(415, "unsupported_media_type", message, field="Content-Type")


FileBody = Annotated[bytes, Depends(file_of)]


async def require_json(request: Request) -> None:
    """Raise a 415 unless the body, if there is one, says that it is JSON: no HTML form can send that."""
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    media_type = media_type_of(request)
    if has_body and media_type != "application/json":
        message = f"Send the body as application/json; this one is {media_type or 'of no type'}."
        raise ServiceError(415, "unsupported_media_type", message, field="Content-Type")
