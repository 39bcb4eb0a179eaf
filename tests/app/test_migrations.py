"""Upgrading a database that holds something, and taking one step back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, text

from app.storage import words
from app.storage.database import Database
from app.storage.schema import MIGRATIONS
from models.recipe import Recipe

IMAGE = "id, job_id, owner, recipe, environment, sha256, pixel_sha256, width, height, created_at"


@contextmanager
def opened(folder: Path) -> Iterator[Database]:
    database = Database(folder / "mezzotint.sqlite3")
    yield database
    database.close()


def config(connection: Connection) -> Config:
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


@pytest.fixture
def first_light(tmp_path: Path) -> Iterator[Database]:
    """A database of the first schema with one finished image and a link to it."""
    with opened(tmp_path) as database:
        with database.write() as tx:
            command.upgrade(config(tx), "0001_first_light")
            tx.execute(
                text(
                    "INSERT INTO jobs (id, group_id, owner, status, recipe, steps, created_at) "
                    "VALUES ('job', 'group', 'alice', 'done', '{}', 4, 1)"
                )
            )
            tx.execute(
                text(
                    f"INSERT INTO images ({IMAGE}) VALUES ('image', 'job', 'alice', '{{}}', '{{}}', 'a', 'b', 8, 8, 1)"
                )
            )
            tx.execute(
                text(
                    "INSERT INTO shares (id, token_hash, image_id, owner, created_at) "
                    "VALUES ('link', 'hash', 'image', 'alice', 1)"
                )
            )
        yield database


def test_images_and_their_links_survive_the_upgrade_to_edits(first_light: Database) -> None:
    with first_light.write() as tx:
        command.upgrade(config(tx), "0002_edits")
    with first_light.read() as tx:
        assert tx.execute(text("SELECT id, job_id, origin, parent_id FROM images")).all() == [
            ("image", "job", "generated", None)
        ]
        assert tx.execute(text("SELECT id, image_id, revoked_at FROM shares")).all() == [("link", "image", None)]
        assert tx.execute(text("PRAGMA foreign_key_check")).all() == []


def test_links_still_go_with_their_image_after_the_upgrade(first_light: Database) -> None:
    with first_light.write() as tx:
        command.upgrade(config(tx), "0002_edits")
    with first_light.write() as tx:
        tx.execute(text("DELETE FROM images"))
        assert tx.execute(text("SELECT count(*) FROM shares")).scalar_one() == 0


def test_one_step_back_loses_uploads_and_nothing_else(first_light: Database) -> None:
    with first_light.write() as tx:
        command.upgrade(config(tx), "0002_edits")
        tx.execute(
            text(
                "INSERT INTO images (id, owner, environment, sha256, pixel_sha256, width, height, created_at, origin) "
                "VALUES ('upload', 'alice', '{}', 'c', 'd', 8, 8, 2, 'upload')"
            )
        )
    with first_light.write() as tx:
        command.downgrade(config(tx), "0001_first_light")
    with first_light.read() as tx:
        assert tx.execute(text("SELECT id, job_id FROM images")).all() == [("image", "job")]
        assert tx.execute(text("SELECT id, image_id FROM shares")).all() == [("link", "image")]
        assert tx.execute(text("PRAGMA foreign_key_check")).all() == []


def test_what_may_be_brought_back_is_not_shown_again_by_the_schema_before(first_light: Database) -> None:
    with first_light.write() as tx:
        command.upgrade(config(tx), "0004_discards")
        tx.execute(text("UPDATE jobs SET canvas_id = 'canvas', discarded_at = 2"))
        tx.execute(text("UPDATE images SET deleted_at = 2"))
    with first_light.write() as tx:
        command.downgrade(config(tx), "0003_api_keys")
    with first_light.read() as tx:
        assert tx.execute(text("SELECT canvas_id, hidden FROM jobs")).all() == [(None, 1)]
        assert tx.execute(text("SELECT deleted_at FROM images")).all() == [(2,)]


def test_keys_come_with_the_third_schema_and_go_with_a_step_back(first_light: Database) -> None:
    with first_light.write() as tx:
        command.upgrade(config(tx), "0003_api_keys")
        tx.execute(
            text("INSERT INTO api_keys (id, name, owner, key_hash, created_at) VALUES ('k', 'n', 'key:k', 'h', 1)")
        )
    with first_light.write() as tx:
        command.downgrade(config(tx), "0002_edits")
    with first_light.read() as tx:
        tables = set(tx.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars())
        assert not {"api_keys", "client_options"} & tables
        assert tx.execute(text("SELECT id FROM images")).all() == [("image",)]


def test_pictures_that_are_there_can_be_searched_after_the_upgrade(first_light: Database) -> None:
    recipe = Recipe(prompt="a tent", seed=77, width=64, height=64)
    with first_light.write() as tx:
        command.upgrade(config(tx), "0003_api_keys")
        upload = "INSERT INTO images (id, owner, environment, sha256, pixel_sha256, width, height, created_at, origin) "
        tx.execute(text(upload + "VALUES ('upload', 'alice', '{}', 'c', 'd', 8, 8, 2, 'upload')"))
        made = f"INSERT INTO images ({IMAGE}) VALUES ('tent', NULL, 'alice', :recipe, '{{}}', 'e', 'f', 8, 8, 3)"
        tx.execute(text(made), {"recipe": recipe.to_json()})
    with first_light.write() as tx:
        command.upgrade(config(tx), "0005_words")
    with first_light.read() as tx:
        assert {row.id: row.words for row in tx.execute(text("SELECT id, words FROM images"))} == {
            "image": "",  # whose recipe is none
            "upload": words.of_image(None, 8, 8),
            "tent": words.of_image(recipe, 8, 8),
        }
    with first_light.write() as tx:
        command.downgrade(config(tx), "0003_api_keys")
    with first_light.read() as tx:
        assert "words" not in {column["name"] for column in inspect(tx).get_columns("images")}
        assert len(tx.execute(text("SELECT id FROM images")).all()) == 3
