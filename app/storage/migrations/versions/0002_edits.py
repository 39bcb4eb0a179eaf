"""Uploaded images, what images are made from, which input files jobs need, canvases.

SQLite can only drop a NOT NULL by copying the table, and dropping the old one would take the shares with it by their
cascade (foreign keys cannot be switched off within a transaction); so the shares step aside meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0002_edits"
down_revision = "0001_first_light"
branch_labels = None
depends_on = None

SHARES = "id, token_hash, image_id, owner, show_recipe, created_at, revoked_at"


def upgrade() -> None:
    with _shares_set_aside(), op.batch_alter_table("images", recreate="always") as images:
        images.alter_column("job_id", existing_type=sa.String(length=32), nullable=True)
        images.alter_column("recipe", existing_type=sa.Text(), nullable=True)
        images.add_column(sa.Column("origin", sa.String(length=12), server_default="generated", nullable=False))
        images.add_column(sa.Column("parent_id", sa.String(length=32), nullable=True))
        images.create_index(op.f("ix_images_parent_id"), ["parent_id"], unique=False)
    op.add_column("jobs", sa.Column("parent_id", sa.String(length=32), nullable=True))
    op.add_column("jobs", sa.Column("canvas_id", sa.String(length=32), nullable=True))
    op.create_index(op.f("ix_jobs_canvas_id"), "jobs", ["canvas_id"], unique=False)
    op.create_table(
        "job_inputs",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"]),
        sa.PrimaryKeyConstraint("job_id", "sha256"),
    )
    op.create_index(op.f("ix_job_inputs_sha256"), "job_inputs", ["sha256"], unique=False)
    op.create_table(
        "canvases",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("mask_sha256", sa.String(length=64), nullable=True),
        sa.Column("frame", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_canvases_image_id"), "canvases", ["image_id"], unique=False)
    op.create_index(op.f("ix_canvases_mask_sha256"), "canvases", ["mask_sha256"], unique=False)
    op.create_index("canvases_of_owner", "canvases", ["owner", "updated_at"], unique=False)
    op.create_table(
        "canvas_images",
        sa.Column("canvas_id", sa.String(length=32), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["canvas_id"], ["canvases.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("canvas_id", "image_id"),
    )
    op.create_index(op.f("ix_canvas_images_image_id"), "canvas_images", ["image_id"], unique=False)


def downgrade() -> None:
    """Lose the uploads, the canvases and what was made from what; generated images stay."""
    op.drop_table("canvas_images")
    op.drop_table("canvases")
    op.drop_table("job_inputs")
    op.drop_index(op.f("ix_jobs_canvas_id"), table_name="jobs")
    for column in ("canvas_id", "parent_id"):
        op.drop_column("jobs", column)
    op.execute("DELETE FROM images WHERE job_id IS NULL OR recipe IS NULL")
    with _shares_set_aside(), op.batch_alter_table("images", recreate="always") as images:
        images.drop_index(op.f("ix_images_parent_id"))
        for column in ("parent_id", "origin"):
            images.drop_column(column)
        images.alter_column("recipe", existing_type=sa.Text(), nullable=False)
        images.alter_column("job_id", existing_type=sa.String(length=32), nullable=False)


@contextmanager
def _shares_set_aside() -> Iterator[None]:
    op.execute(f"CREATE TABLE shares_aside AS SELECT {SHARES} FROM shares")
    op.drop_table("shares")
    yield
    op.create_table(
        "shares",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("show_recipe", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_index(op.f("ix_shares_image_id"), "shares", ["image_id"], unique=False)
    op.execute(f"INSERT INTO shares ({SHARES}) SELECT {SHARES} FROM shares_aside")
    op.drop_table("shares_aside")
