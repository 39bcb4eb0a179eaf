"""What a caller is told when something cannot be done; the web turns each of these into its own answer."""

from __future__ import annotations


class ServiceError(Exception):
    """A refusal that names its cause: `status` is HTTP's, `code` is for programs, `message` for people."""

    def __init__(
        self, status: int, code: str, message: str, *, field: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.retry_after = retry_after


class DatabaseBusy(ServiceError):  # noqa: N818, the word that callers read
    """Another process has held the database for longer than we wait."""

    def __init__(self) -> None:
        super().__init__(503, "database_busy", "The database is busy; try again in a few seconds.", retry_after=5)


class DiskFull(ServiceError):  # noqa: N818, the word that callers read
    """There is no space left to write a row or a file."""

    def __init__(self) -> None:
        message = "The disk is full; nothing was lost, but nothing new can be kept until space is freed."
        super().__init__(507, "disk_full", message, retry_after=30)


class LeaseLost(Exception):  # noqa: N818
    """The job was cancelled, or another process has taken it over: what we hold of it counts no longer."""
