"""What images are searched by, of those that are there already, too."""

from __future__ import annotations

import contextlib

import sqlalchemy as sa
from alembic import op

from app.storage import words
from models.recipe import Recipe

revision = "0005_words"
down_revision = "0004_discards"
branch_labels = None
depends_on = None

AT_ONCE = 1000


def upgrade() -> None:
    op.add_column("images", sa.Column("words", sa.Text(), server_default="", nullable=False))
    images = sa.table("images", *(sa.column(name) for name in ("id", "recipe", "width", "height", "words")))
    every = sa.select(images.c.id, images.c.recipe, images.c.width, images.c.height)
    change = sa.update(images).where(images.c.id == sa.bindparam("image")).values(words=sa.bindparam("text"))
    connection = op.get_bind()
    for rows in connection.execute(every).partitions(AT_ONCE):
        connection.execute(change, [{"image": name, "text": _words(*facts)} for name, *facts in rows])
    op.drop_index("images_of_owner", table_name="images")
    op.create_index("images_of_owner", "images", ["owner", "created_at", "id", "deleted_at", "words"])


def downgrade() -> None:
    op.drop_index("images_of_owner", table_name="images")
    op.create_index("images_of_owner", "images", ["owner", "created_at", "id"])
    op.drop_column("images", "words")


def _words(recipe: str | None, width: int, height: int) -> str:
    """The words of an image; one whose recipe cannot be read has none."""
    with contextlib.suppress(ValueError):
        return words.of_image(Recipe.from_json(recipe) if recipe else None, width, height)
    return ""
