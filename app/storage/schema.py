"""Which schemas of the database this program knows, told from file names alone; imports no SQLAlchemy."""

from __future__ import annotations

from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"


def known_schemas() -> list[str]:
    """The versions that this program can open, the one that it makes of them last."""
    return sorted(path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def newer(version: str) -> str:
    """Say that a database is of a schema that is not known here."""
    return (
        f"The database is of schema {version!r}, made by a newer Mezzotint; this one knows up to "
        f"{known_schemas()[-1]!r}. Start the newer program, or choose another folder with --data."
    )
