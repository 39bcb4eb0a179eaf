"""Candidates that were thrown away, and may be brought back for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_discards"
down_revision = "0003_api_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("discarded_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "jobs_discarded", "jobs", ["discarded_at"], unique=False, sqlite_where=sa.text("discarded_at IS NOT NULL")
    )


def downgrade() -> None:
    """Take what was thrown away off its canvas; its picture is marked deleted already."""
    op.execute("UPDATE jobs SET canvas_id = NULL, hidden = TRUE WHERE discarded_at IS NOT NULL")
    op.drop_index("jobs_discarded", table_name="jobs")
    op.drop_column("jobs", "discarded_at")
