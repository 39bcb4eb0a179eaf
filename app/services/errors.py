"""Refusals, each with the status, code and words that the web answers. All are `ServiceError`s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.storage.errors import DatabaseBusy, DiskFull, ServiceError

__all__ = ["Conflict", "DatabaseBusy", "DiskFull", "InvalidInput", "NotFound", "ServiceError", "Stale", "TooMany"]


class NotFound(ServiceError):  # noqa: N818, the words of HTTP
    """There is no such thing, or it belongs to another: the answer is the same."""

    def __init__(self, message: str) -> None:
        super().__init__(404, "not_found", message)


class Conflict(ServiceError):  # noqa: N818
    """The thing is there, but in a state that does not allow this."""

    def __init__(self, message: str) -> None:
        super().__init__(409, "conflict", message)


class Stale(ServiceError):  # noqa: N818
    """The thing has changed since it was read; it is at `version` now."""

    def __init__(self, version: int) -> None:
        message = f"This has been changed elsewhere and is at version {version} now; read it anew."
        super().__init__(409, "stale", message)
        self.errors = [{"field": "version", "message": str(version)}]
        self.version = version


class InvalidInput(ServiceError):  # noqa: N818
    """Fields that cannot be accepted; `errors` is `[{field, message}]`, never empty."""

    def __init__(self, errors: Sequence[dict[str, Any]]) -> None:
        text = "; ".join(f"{error['field']}: {error['message']}" for error in errors)
        super().__init__(422, "invalid_input", text, field=str(errors[0]["field"]))
        self.errors = list(errors)


class TooMany(ServiceError):  # noqa: N818
    """More than one may have at a time; it helps to wait `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(429, "too_many", message, retry_after=retry_after)
