"""The interfaces of others that we speak, by the beginning of their paths, and how each says that something failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

A1111 = ("/sdapi/", "/internal/")
OPENAI = ("/v1/",)
DIALECTS = (*A1111, *OPENAI)
PROGRAMS = ("/api/", *DIALECTS)
BUSY = frozenset({429, 503, 507})
TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
CLASSES = {422: "RequestValidationError"}  # A1111's, of what is wrong with a request
FAULTS = {"out_of_memory": "OutOfMemoryError", "numerical": "NansException"}  # and of what failed

Fields = Sequence[Mapping[str, str]]


def error_body(path: str, status: int, code: str, message: str, fields: Fields) -> dict[str, Any] | None:
    """Return the body of a failure in the dialect of `path`, None where the path is of none."""
    if _is_of(path, OPENAI):
        return openai_error(status, code, message, fields)
    if _is_of(path, A1111):
        return a1111_error(status, code, message, fields)
    return None


def error_status(path: str, status: int) -> int:
    """Return the status that a dialect has for this one: OpenAI calls a field that is wrong a bad request."""
    return 400 if status == 422 and _is_of(path, OPENAI) else status


def error_headers(path: str, status: int) -> dict[str, str]:
    """Return the headers that a dialect's clients look at: how to log in, and whether asking again makes sense."""
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="Mezzotint"' if _is_of(path, A1111) else "Bearer"
    if _is_of(path, OPENAI) and (status == 409 or status >= 500) and status not in BUSY:
        headers["x-should-retry"] = "false"
    return headers


def _is_of(path: str, dialect: tuple[str, ...]) -> bool:
    return f"{path}/".startswith(dialect)


def openai_error(status: int, code: str, message: str, fields: Fields = ()) -> dict[str, Any]:
    """OpenAI: `param` is the first field that is wrong."""
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    details = "; ".join(f"{field['field']}: {field['message']}" for field in fields)
    param = fields[0]["field"] if fields else None
    return {"error": {"message": details or message, "type": kind, "param": param, "code": code}}


def a1111_error(status: int, code: str, message: str, fields: Fields = ()) -> dict[str, Any]:
    """A1111: a class, a detail, and the errors as text."""
    details = "; ".join(f"{field['field']}: {field['message']}" for field in fields)
    kind = FAULTS.get(code, "RuntimeError") if status >= 500 else CLASSES.get(status, "HTTPException")
    return {"error": kind, "detail": details or message, "body": "", "errors": details or message}
