"""Requests for images as multipart, where pictures are files instead of base64: read into the same JSON."""

from __future__ import annotations

import base64
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import UploadFile

from app.services.errors import InvalidInput
from app.services.request import JobRequest
from app.web.api.requests import BINARY, MULTIPART, media_type_of

MAX_FIELDS = 64
FILE_FIELDS = ("image", "mask")
FORM_BODY: dict[str, Any] = {
    "requestBody": {
        "content": {
            MULTIPART: {
                "schema": {
                    "type": "object",
                    "required": ["prompt"],
                    "description": "The same fields as in JSON; `image` and `mask` may be files.",
                    "properties": {"prompt": {"type": "string"}} | dict.fromkeys(FILE_FIELDS, BINARY),
                    "additionalProperties": {"type": "string"},
                }
            }
        }
    }
}


class JsonOrMultipart(APIRoute):
    """A route whose endpoint takes a `JobRequest` as JSON; a multipart form is turned into that."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def either(request: Request) -> Response:
            return await handle(await _as_json(request) if media_type_of(request) == MULTIPART else request)

        return either


async def _as_json(request: Request) -> Request:
    content = JobRequest.from_form(await _fields(request)).model_dump_json(exclude_unset=True).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    others = [
        (name, value) for name, value in request.scope["headers"] if name not in (b"content-type", b"content-length")
    ]
    headers = [*others, (b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    return Request({**request.scope, "headers": headers}, receive)


async def _fields(request: Request) -> dict[str, str]:
    """Return the fields of a form as text, files of pictures as base64. Raises `InvalidInput` for any other file."""
    fields: dict[str, str] = {}
    async with request.form(max_files=len(FILE_FIELDS), max_fields=MAX_FIELDS) as form:
        for name, value in form.multi_items():
            if name in fields:
                raise InvalidInput([{"field": name, "message": "This field was sent twice."}])
            if not isinstance(value, UploadFile):
                fields[name] = value
            elif name in FILE_FIELDS:
                fields[name] = base64.b64encode(await value.read()).decode()
            else:
                raise InvalidInput([{"field": name, "message": "This field is no file; `image` and `mask` may be."}])
    return fields
