"""The data folder, made and looked at before a command begins, so that what is wrong with it is said in a line."""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from app.settings import Settings
from app.storage.schema import known_schemas, newer


def require_folder(parser: argparse.ArgumentParser, settings: Settings) -> None:
    """Make the data folder if there is none. Ends the program with a message if nothing can be kept in it."""
    problem = _problem_of(settings.data) or _problem_with(settings.database)
    if problem is not None:
        parser.error(f"--data (MEZZOTINT_DATA): {problem}")


def _problem_of(folder: Path) -> str | None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror}); name a folder of yours"
    return None


def _problem_with(file: Path) -> str | None:
    """What is wrong with a database that is there, as far as its first pages tell."""
    if not file.exists():
        return None
    if not os.access(file, os.R_OK | os.W_OK):
        return f"{file} cannot be written by this user; see to its permissions, or name another folder"
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return None  # nothing in it yet, or somebody is busy with it
    except sqlite3.DatabaseError as error:
        return f"{file} cannot be read ({error}); restore a copy of the folder, or name another one"
    return newer(row[0]) if row and row[0] not in known_schemas() else None
