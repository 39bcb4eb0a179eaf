"""What every request to the JSON API must be before its route looks at it."""

from __future__ import annotations

from fastapi import Request

from app.services.errors import ServiceError


async def require_json(request: Request) -> None:
    """Raise a 415 unless the body, if there is one, says that it is JSON: no HTML form can send that."""
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if has_body and media_type != "application/json":
        message = f"Send the body as application/json; this one is {media_type or 'of no type'}."
        raise ServiceError(415, "unsupported_media_type", message, field="Content-Type")
