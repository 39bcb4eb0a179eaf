"""The tables. Times are milliseconds since 1970 in UTC; the database's clock decides every expiry."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

metadata = MetaData()

# SQLite counts rows by itself only for INTEGER; elsewhere 32 bits would be too few.
Serial = BigInteger().with_variant(Integer(), "sqlite")


class now_ms(FunctionElement[int]):  # noqa: N801, it reads as the SQL function that it is
    """The database's time, in milliseconds since 1970."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _sqlite_now(_element: now_ms, _compiler: Any, **_options: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(now_ms, "postgresql")
def _postgres_now(_element: now_ms, _compiler: Any, **_options: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"


jobs = Table(
    "jobs",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("group_id", String(32), nullable=False, index=True),
    Column("owner", String(64), nullable=False),
    Column("status", String(12), nullable=False),
    Column("recipe", Text, nullable=False),
    Column("step", Integer, nullable=False, server_default=text("0")),
    Column("steps", Integer, nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("alone", Boolean, nullable=False, server_default=false()),
    Column("holder", String(32)),
    Column("lease_token", String(32)),
    Column("lease_until", BigInteger),
    Column("not_before", BigInteger),
    Column("error_code", String(40)),
    Column("error_message", Text),
    Column("preview_version", Integer, nullable=False, server_default=text("0")),
    Column("hidden", Boolean, nullable=False, server_default=false()),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("parent_id", String(32)),  # the image that it edits; no key, since that may be deleted
    Column("canvas_id", String(32), index=True),  # while its image is a candidate there
    Column("discarded_at", BigInteger),  # while that candidate is thrown away, and may be brought back
    Index("jobs_in_line", "status", "owner", "seq"),
    Index("jobs_of_owner", "owner", "hidden", "seq"),
    Index("jobs_discarded", "discarded_at", sqlite_where=text("discarded_at IS NOT NULL")),
    sqlite_autoincrement=True,
)

job_inputs = Table(
    "job_inputs",
    metadata,
    Column("job_id", String(32), ForeignKey("jobs.id"), primary_key=True),
    Column("sha256", String(64), primary_key=True, index=True),
)

previews = Table(
    "previews",
    metadata,
    Column("job_id", String(32), ForeignKey("jobs.id"), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("png", LargeBinary, nullable=False),
)

job_events = Table(
    "job_events",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("job_id", String(32), ForeignKey("jobs.id"), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("job_events_of_owner", "owner", "id"),
    sqlite_autoincrement=True,
)

images = Table(
    "images",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("job_id", String(32), ForeignKey("jobs.id"), unique=True),  # NULL for uploads, as is `recipe`
    Column("owner", String(64), nullable=False),
    Column("recipe", Text),
    Column("environment", Text, nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("pixel_sha256", String(64), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    Column("origin", String(12), nullable=False, server_default=text("'generated'")),
    Column("parent_id", String(32), index=True),
    Column("words", Text, nullable=False, server_default=text("''")),  # what it is searched by, see words.py
    Index("images_of_owner", "owner", "created_at", "id", "deleted_at", "words"),  # a search reads nothing else
    Index("images_deleted", "deleted_at", sqlite_where=text("deleted_at IS NOT NULL")),
)

shares = Table(
    "shares",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("image_id", String(32), ForeignKey("images.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("owner", String(64), nullable=False),
    Column("show_recipe", Boolean, nullable=False, server_default=false()),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

canvases = Table(
    "canvases",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("image_id", String(32), ForeignKey("images.id"), nullable=False, index=True),
    Column("mask_sha256", String(64), index=True),
    Column("frame", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("canvases_of_owner", "owner", "updated_at"),
)

canvas_images = Table(
    "canvas_images",
    metadata,
    Column("canvas_id", String(32), ForeignKey("canvases.id", ondelete="CASCADE"), primary_key=True),
    Column("image_id", String(32), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("added_at", BigInteger, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("body_hash", String(64), nullable=False),
    Column("group_id", String(32), nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

client_options = Table(
    "client_options",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("options", Text, nullable=False),
)
