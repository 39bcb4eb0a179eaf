"""Jobs of several checkpoints, of which some take long to load."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

from app.engine.client import EngineClient
from app.services import claims, gallery
from app.services.dispatch import Dispatcher
from app.storage.store import Store
from models.recipe import Recipe
from tests.app.fake_engine import FakeEngine
from tests.app.house import House
from tests.app.storing import LEASE_MS, must_claim, queue, recipe


class SlowLoader:
    """An engine that has loaded `fast`, and loads `slow` for as long as the test wants."""

    def __init__(self) -> None:
        self.is_loaded = asyncio.Event()
        self.most_waiting = 0
        self._waiting = 0

    async def status(self) -> dict[str, Any]:
        state = "ready" if self.is_loaded.is_set() else "loading"
        return {
            "state": "ready",
            "checkpoints": [{"name": "fast", "state": "ready"}, {"name": "slow", "state": state}],
        }

    async def generate(
        self,
        wanted: Recipe,
        inputs: Mapping[str, bytes] | None = None,  # noqa: ARG002
        owner: str = "",  # noqa: ARG002
    ) -> AsyncGenerator[dict[str, Any], None]:
        if wanted.checkpoint == "slow":
            self._waiting += 1
            self.most_waiting = max(self.most_waiting, self._waiting)
            await self.is_loaded.wait()
            self._waiting -= 1
        yield {"event": "started"}
        rgb = bytes(wanted.width * wanted.height * 3)
        picture = {"rgb": base64.b64encode(rgb).decode(), "pixel_sha256": hashlib.sha256(rgb).hexdigest()}
        yield {"event": "image", "width": wanted.width, "height": wanted.height, "environment": {}, **picture}


def test_a_checkpoint_that_loads_for_long_leaves_places_to_the_others(tmp_path: Path) -> None:
    engine = SlowLoader()
    house = House(tmp_path, FakeEngine(tmp_path / "unused.sock"), concurrency=4)
    house.dispatcher = Dispatcher(house.store, engine, house.settings, house.wake)
    slow = [recipe(seed, checkpoint="slow") for seed in range(6)]
    queue(house.store, "alice", *slow)
    queue(house.store, "bob", *[recipe(seed, checkpoint="fast") for seed in range(6)])

    async def load() -> None:
        assert engine.most_waiting == 2
        assert "done" not in house.statuses("alice")
        engine.is_loaded.set()

    house.while_dispatching(house.until_all_are("done", owner="bob"), load, house.until_all_are("done"))
    house.store.close()


def test_jobs_of_crowded_checkpoints_are_passed_over_whatever_their_prompts_say(tmp_path: Path) -> None:
    house = House(tmp_path, FakeEngine(tmp_path / "unused.sock"))
    name = 'a"b_c%'
    queue(house.store, "alice", recipe(1, checkpoint=name), recipe(2, prompt=f'"checkpoint":"{name}"'))
    passing = claims.claim(house.store, "here", LEASE_MS, {name})
    assert passing is not None
    assert passing.recipe.seed == 2
    assert claims.claim(house.store, "here", LEASE_MS, {name}) is None
    assert must_claim(house.store).recipe.seed == 1
    house.store.close()


def test_the_hash_of_the_checkpoint_is_kept_with_the_picture(tmp_path: Path) -> None:
    with FakeEngine(tmp_path / "engine.sock") as engine:
        house = House(tmp_path, engine)
        client = EngineClient(engine.socket)
        sha256 = "ab" * 32
        house.dispatcher = Dispatcher(house.store, client, house.settings, house.wake, {"embedded": sha256}.get)
        queue(house.store, "alice", recipe())
        house.while_dispatching(house.until_all_are("done"))
    (image,) = gallery.page(house.store, "alice").images
    assert image.environment["model_sha256"] == sha256
    assert f"Model hash: {sha256[:10]}" in _parameters(house.store, image.id)
    house.store.close()


def _parameters(store: Store, image_id: str) -> str:
    from PIL import Image

    with Image.open(gallery.image_file(store, "alice", image_id)) as picture:
        return str(picture.info["parameters"])
