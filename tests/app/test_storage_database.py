"""Opening, migrating and locking the database."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from app.settings import Settings
from app.storage import database, migrate, tables
from app.storage.errors import DatabaseBusy
from app.storage.migrate import SchemaError
from app.storage.store import Store


def test_the_migrations_make_the_tables_that_the_program_uses(tmp_path: Path) -> None:
    store = Store(Settings(data=tmp_path))
    with store.read() as tx:
        assert compare_metadata(MigrationContext.configure(tx), tables.metadata) == []
    store.close()


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    Store(Settings(data=tmp_path)).close()
    Store(Settings(data=tmp_path)).close()


def test_a_database_of_a_newer_program_is_refused_with_the_remedy(tmp_path: Path) -> None:
    store = Store(Settings(data=tmp_path))
    with store.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999_later'"))
    store.close()
    with pytest.raises(SchemaError, match=r"newer Mezzotint.*--data"):
        Store(Settings(data=tmp_path))


def test_a_migration_that_is_cut_short_leaves_nothing_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = migrate._upgrade

    def cut_short(connection: Connection) -> None:
        upgrade(connection)
        raise KeyboardInterrupt

    monkeypatch.setattr(migrate, "_upgrade", cut_short)
    with pytest.raises(KeyboardInterrupt):
        Store(Settings(data=tmp_path))
    monkeypatch.undo()
    with sqlite3.connect(tmp_path / "mezzotint.sqlite3") as raw:
        assert raw.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    raw.close()
    Store(Settings(data=tmp_path)).close()


def test_what_is_acknowledged_is_synced_and_what_is_only_noted_is_not(tmp_path: Path) -> None:
    store = Store(Settings(data=tmp_path))
    modes = []
    for transaction in (store.write, store.note, store.write):
        with transaction() as tx:
            modes.append(tx.exec_driver_sql("PRAGMA synchronous").scalar_one())
    assert modes == [2, 1, 2]
    store.close()


def test_changes_are_told_after_they_are_committed_and_nothing_else_is(tmp_path: Path) -> None:
    told: list[str] = []
    store = Store(Settings(data=tmp_path), on_change=told.append)
    told.clear()
    for without_change in (store.read, store.write):
        with without_change():
            pass
    assert told == []
    with store.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = version_num"))
        assert told == []
    assert told == [""]
    with store.note("alice") as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = version_num"))
    assert told == ["", "alice"]
    store.close()


def test_a_lock_held_by_another_process_is_reported_as_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_SECONDS", 0.05)
    store = Store(Settings(data=tmp_path))
    other = sqlite3.connect(tmp_path / "mezzotint.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusy) as busy, store.write():
        pass
    assert (busy.value.status, busy.value.retry_after) == (503, 5)
    other.rollback()
    other.close()
    with store.write():
        pass
    store.close()


def test_threads_that_write_at_once_all_succeed(tmp_path: Path) -> None:
    store = Store(Settings(data=tmp_path))
    with store.write() as tx:
        tx.execute(text("CREATE TABLE tally (n INTEGER)"))
        tx.execute(text("INSERT INTO tally VALUES (0)"))

    def count() -> None:
        for _ in range(20):
            with store.write() as tx:
                tx.execute(text("UPDATE tally SET n = n + 1"))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as tx:
        assert tx.execute(text("SELECT n FROM tally")).scalar_one() == 160
    store.close()
