"""What a failed request is answered: designed HTML for people, one JSON shape for programs.

JSON: `{"error": {"code", "message", "fields": [{"field", "message"}]}}`. HTML is rendered by
`app.web.templating.render_error(request, status, code, message, fields)`: a page, or under `HX-Request` a fragment.
Nothing here shows a traceback, a path or SQL; the log has them, under the request id that the answer carries.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.services.errors import ServiceError, Stale
from app.web import dialects

Fields = Sequence[Mapping[str, str]]

MACHINE_PATHS = (*dialects.PROGRAMS, "/healthz", "/readyz", "/metrics", "/openapi.json")
UNPARSABLE = "There was an error parsing the body"  # fastapi's words for JSON that json.loads cannot even refuse

log = structlog.get_logger(__name__)

_MESSAGES = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    500: "Something went wrong on our side. It has been logged.",
}


def wants_html(request: HTTPConnection) -> bool:
    """Tell whether a person reads the answer: htmx, or a browser outside the JSON API."""
    if request.scope["path"].startswith(MACHINE_PATHS):
        return False
    return "hx-request" in request.headers or "text/html" in request.headers.get("accept", "")


def error_response(
    request: Request,
    status: int,
    code: str,
    message: str,
    *,
    fields: Fields = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer for a failed request in the form that its reader understands."""
    if wants_html(request):
        from app.web.templating import render_error

        html = render_error(request, status, code, message, [dict(field) for field in fields])
        return HTMLResponse(html, status, headers={"Vary": "Accept, HX-Request", **(headers or {})})
    path = request.scope["path"]
    own = {"error": {"code": code, "message": message, "fields": [dict(field) for field in fields]}}
    status = dialects.error_status(path, status)
    body = dialects.error_body(path, status, code, message, fields) or own
    return JSONResponse(body, status, headers={**dialects.error_headers(path, status), **(headers or {})})


def install(app: FastAPI) -> None:
    """Let every error of a route, of FastAPI and of the services be answered by `error_response`."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)


async def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    fields = getattr(error, "errors", None)
    if not fields:
        fields = [{"field": error.field, "message": error.message}] if error.field else []
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
    if isinstance(error, Stale):
        headers["ETag"] = f'"{error.version}"'
    return error_response(request, error.status, error.code, error.message, fields=fields, headers=headers)


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = [{"field": _field(item), "message": _sentence(item)} for item in error.errors()]
    names = ", ".join(dict.fromkeys(field["field"] for field in fields))
    return error_response(request, 422, "invalid", f"These fields are wrong: {names}.", fields=fields)


def _field(item: Mapping[str, Any]) -> str:
    """Return the name of the field, without the part of the request that it came in."""
    place, *path = item["loc"]
    if item["type"] == "json_invalid":
        return "body"
    if path:
        return ".".join(str(part) for part in path)
    return "size" if item["type"] == "value_error" else str(place)


def _sentence(item: Mapping[str, Any]) -> str:
    if item["type"] == "json_invalid":
        return f"Broken JSON at character {item['loc'][-1]}: {item.get('ctx', {}).get('error', 'invalid')}"
    return str(item["msg"])


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # a body that cannot be taken apart; routes themselves say 422
        message = "Broken JSON: it cannot be read." if error.detail == UNPARSABLE else str(error.detail)
        fields = [{"field": "body", "message": message}]
        return error_response(request, 422, "invalid", "These fields are wrong: body.", fields=fields)
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    message = _MESSAGES.get(error.status_code, phrase) if error.detail == phrase else str(error.detail)
    return error_response(request, error.status_code, code, message, headers=error.headers)


class ErrorBorder:
    """Log what nobody expected and answer 500 without a detail of it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        except Exception:
            if scope["type"] != "http":
                raise
            _log_fault(scope)
            if started:
                raise
            response = error_response(Request(scope, receive), 500, "internal", _MESSAGES[500])
            await response(scope, receive, send)


def _log_fault(scope: Scope) -> None:
    """Log the traceback as text: a renderer that prints every local variable would stop the server for a minute."""
    about = {"method": scope["method"], "path": scope["path"], "request": scope.get("request_id")}
    log.error("request_failed", **about, traceback=traceback.format_exc())
