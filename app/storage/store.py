"""Everything that is kept: the database, the image files, and who holds jobs, in one data folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from app.settings import Settings
from app.storage.database import Database
from app.storage.files import ImageFiles
from app.storage.holders import Holders
from app.storage.migrate import migrate


class Store:
    """Open, and if need be make and upgrade, what is kept in `settings.data`.

    `on_change` is called, in any thread, after each transaction that changed something, with the owner whom alone that
    concerns, or else with nothing. Raises `SchemaError` if the data was made by a newer program. Any transaction may
    raise `DatabaseBusy` or `DiskFull`.
    """

    def __init__(self, settings: Settings, on_change: Callable[[str], None] = lambda owner: None) -> None:  # noqa: ARG005
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.settings = settings
        self.files = ImageFiles(settings.images)
        self.holders = Holders(settings.data / "holders")
        self._database = Database(settings.database, on_change)
        migrate(self._database)

    def read(self) -> AbstractContextManager[Connection]:
        """A consistent view of the rows."""
        return self._database.read()

    def write(self) -> AbstractContextManager[Connection]:
        """A change that survives a power cut from the moment that the block has ended."""
        return self._database.write()

    def note(self, owner: str = "") -> AbstractContextManager[Connection]:
        """A change that survives kill -9; progress and the like, which need not wait for the disk.

        With an owner it concerns nobody else, and nobody else is told.
        """
        return self._database.note(owner)

    def close(self) -> None:
        """Close all connections."""
        self._database.close()
