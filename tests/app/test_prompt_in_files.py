"""The setting that keeps prompts out of image files."""

from __future__ import annotations

from pathlib import Path

from app.metadata.read import read
from app.services import gallery
from app.storage.store import Store
from tests.app.storing import finished_image, settings


def test_a_file_holds_no_prompt_where_the_setting_says_so_but_the_mark_and_the_row_do(tmp_path: Path) -> None:
    store = Store(settings(tmp_path, prompt_in_files=False))
    image_id = finished_image(store, "alice", prompt="a secret place")
    content = gallery.image_file(store, "alice", image_id).read_bytes()
    reading = read(content)
    assert b"secret" not in content
    assert reading is not None
    assert (reading.recipe, reading.text) == (None, "")
    assert reading.source_type == "trainedAlgorithmicMedia"
    recipe = gallery.image(store, "alice", image_id).recipe
    assert recipe is not None
    assert recipe.prompt == "a secret place"
    store.close()
