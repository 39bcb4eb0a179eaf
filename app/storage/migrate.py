"""Bringing the database to the schema of this program. Alembic is imported only when there is something to do."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from app.storage.database import Database
from app.storage.schema import MIGRATIONS, known_schemas, newer


class SchemaError(RuntimeError):
    """The database was made by a newer program."""


def migrate(database: Database) -> None:
    """Upgrade the schema in one transaction, so that a kill half way leaves the old one.

    Raises `SchemaError` if the database is of a later version than this program.
    """
    known = known_schemas()
    with database.read() as connection:
        if _version(connection) == known[-1]:
            return
    with database.write() as connection:
        version = _version(connection)
        if version is not None and version not in known:
            raise SchemaError(newer(version))
        _upgrade(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
