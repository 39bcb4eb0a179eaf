"""One SQLite database, opened for several threads and processes: reads, writes and notes as transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import OperationalError

from app.storage.errors import DatabaseBusy, DiskFull

BUSY_TIMEOUT_SECONDS = 10.0
POOL_SIZE = 16
MAX_CONNECTIONS = 64

READ = {"begin": "BEGIN", "synchronous": "FULL"}
WRITE = {"begin": "BEGIN IMMEDIATE", "synchronous": "FULL"}
NOTE = {"begin": "BEGIN IMMEDIATE", "synchronous": "NORMAL"}


class Database:
    """Transactions on the database in `file`; `on_change` is called, in any thread, after each one that wrote a row,
    with the owner whom it concerns, or nothing if that may be anybody.
    """

    def __init__(self, file: Path, on_change: Callable[[str], None] = lambda owner: None) -> None:  # noqa: ARG005
        self._engine = create_engine(
            URL.create("sqlite", database=str(file)),  # whatever signs are in its path
            pool_size=POOL_SIZE,
            max_overflow=MAX_CONNECTIONS - POOL_SIZE,
            connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )
        self._on_change = on_change
        self._writing = threading.Lock()
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view of the whole database."""
        with _translated(), self._engine.connect().execution_options(**READ) as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A change that, once this block has ended, survives kill -9 and a power cut."""
        with self._change(WRITE) as connection:
            yield connection

    @contextmanager
    def note(self, owner: str = "") -> Iterator[Connection]:
        """A change that survives kill -9, but perhaps not a power cut: it does not wait for the disk."""
        with self._change(NOTE, owner) as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _change(self, options: dict[str, str], owner: str = "") -> Iterator[Connection]:
        if not self._writing.acquire(timeout=BUSY_TIMEOUT_SECONDS):
            raise DatabaseBusy
        try:
            with (
                _translated(),
                self._engine.connect().execution_options(**options) as connection,
                connection.begin(),
            ):
                before = _changes(connection)
                yield connection
                has_written = _changes(connection) > before
        finally:
            self._writing.release()
        if has_written:
            self._on_change(owner)


def _changes(connection: Connection) -> int:
    """Rows that were written through this connection so far."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver.total_changes


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions are ours to begin, see _begin
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "temp_store=MEMORY", "journal_size_limit=67108864"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA synchronous={options['synchronous']}")
    connection.exec_driver_sql(options["begin"])


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        match getattr(error.orig, "sqlite_errorcode", 0) & 0xFF:
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                raise DatabaseBusy from error
            case sqlite3.SQLITE_FULL:
                raise DiskFull from error
        raise
