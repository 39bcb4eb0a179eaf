"""A shelf under an engine, and a loader that counts."""

from __future__ import annotations

import threading
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.engine.engine import Engine
from app.engine.residency import Residency
from app.engine.shelf import Shelf
from models.bundle import Bundle
from models.checkpoint.facts import CheckpointError
from tests.app.fake_bundle import Heard

PATIENCE_SECONDS = 20.0


@dataclass
class Loader:
    """Gives a copy of a bundle, whatever the path, and counts; a path named `bad` cannot be loaded."""

    source: Bundle
    loads: list[str] = field(default_factory=list)
    frees: int = 0

    def load(self, name: str, path: Path) -> Bundle:
        self.loads.append(name)
        if path.name == "bad":
            raise CheckpointError(f"{path} is bad; take another one")
        return replace(self.source, name=name, unet=deepcopy(self.source.unet), vae=deepcopy(self.source.vae))

    @property
    def size(self) -> int:
        return self.source.bytes

    def estimate(self, path: Path) -> int:  # noqa: ARG002
        return self.size

    def free(self) -> None:
        self.frees += 1


class Bench:
    """A shelf for checkpoints of one size, of which `room` fit, and an engine before it.

    At work each grows to less than twice its size: weights in oneDNN's order are kept, and prompts remembered.
    """

    def __init__(self, loader: Loader, paths: dict[str, Path], room: int) -> None:
        self.changed = threading.Event()
        self.residency = Residency((2 * room - 1) * loader.size)
        self.shelf = Shelf(paths, loader, self.residency, self.changed.set)
        self.engine = Engine(self.shelf.get, plan=self.shelf.plan)

    def draw(self, *names: str) -> list[Heard]:
        """Have one picture made of each checkpoint, in the order of `names`."""
        size = {"width": 64, "height": 64, "steps": 1, "guidance_scale": 1}
        heard = [Heard(checkpoint=name, **size) for name in names]
        for each in heard:
            self.engine.submit(each.task)
        while self.engine.running:
            self.changed.clear()
            if not self.engine.step() and self.engine.running:
                assert self.changed.wait(PATIENCE_SECONDS), self.shelf.describe()
        return heard

    def states(self) -> dict[str, str]:
        said = self.shelf.describe()
        assert {entry["name"] for entry in said if entry["prediction_type"]} == {
            entry["name"] for entry in said if entry["state"] == "ready"
        }
        return {entry["name"]: entry["state"] for entry in said}
