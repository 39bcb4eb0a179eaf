"""A bundle of a few lines that answers without networks, and a task with all that its listener heard."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from app.engine.engine import Engine
from app.engine.limits import Limits
from app.engine.task import Event, Finished, Progress, Task
from models.bundle import Bundle
from models.calls import Call, Decode, Encode, EncodeImage, Predict
from models.config import BundleConfig
from models.recipe import Recipe
from models.schedule import Schedule

CPU = torch.device("cpu")
CONFIG = BundleConfig(
    latent_channels=4, unet_in_channels=4, vae_factor=8, width=64, height=64, context_width=2, max_tokens=8
)


class FakeCosts:
    """A row costs an operation and holds a byte a latent; so does a picture to decode, unless it costs `decoding`."""

    decoding: float | None = None
    vae = SimpleNamespace(factor=8)

    def row(self, height: int, width: int, tokens: int = 8) -> float:  # noqa: ARG002
        return float(height * width)

    def decode(self, height: int, width: int) -> float:
        return self.decoding or float(height * width)

    def encode(self, height: int, width: int) -> float:
        return float(height * width)

    def row_bytes(self, height: int, width: int) -> int:
        return height * width

    def picture_bytes(self, height: int, width: int, rows: int, *, whole: bool = False) -> int:  # noqa: ARG002
        return rows * height * width


def willing(calls: Sequence[Call]) -> None:
    """Raise nothing for any calls."""
    assert calls


@dataclass
class FakeBundle:
    """Answers like a checkpoint, row by row, and remembers which calls came together."""

    batches: list[list[Call]] = field(default_factory=list)
    before: Callable[[Sequence[Call]], None] = willing
    config: BundleConfig = CONFIG
    schedule: Schedule = field(default_factory=lambda: Schedule.from_config({}))
    device: torch.device = CPU
    pixel: float = 0.0
    name: str = "fake"
    dtype: torch.dtype = torch.float32
    exact_rows: int = 0
    compiled: Any = None
    fingerprint: str = "fake"
    costs: FakeCosts = field(default_factory=FakeCosts)
    decoding_parts: int = 1

    def match(self, prompt: str, pixels: Tensor) -> None:
        """It has no image tower."""

    def asked_rows(self, calls: Sequence[Predict]) -> int:
        return max(2, sum(call.rows for call in calls))

    def decode_in_parts(self, call: Decode) -> Generator[None, None, Tensor]:
        for _ in range(self.decoding_parts - 1):
            self.batches.append([call])
            yield
        return self.answer([call])[0]

    def answer(self, calls: Sequence[Call]) -> list[Tensor]:
        self.before(calls)
        self.batches.append(list(calls))
        return [self._one(call) for call in calls]

    def _one(self, call: Call) -> Tensor:
        match call:
            case Encode():
                return torch.full((8 * len(call.text.split("BREAK")), 2), float(len(call.text)))
            case Predict():
                return torch.cat([call.sample * 0.1 + cond.mean() * 0.01 for cond in call.conds])
            case Decode():
                return F.interpolate(call.latents[:, :3], scale_factor=8.0) + self.pixel
            case EncodeImage():
                return F.avg_pool2d(call.pixels, 8)[:, (0, 1, 2, 0)]

    @property
    def predicts(self) -> list[list[Predict]]:
        return [cast(list[Predict], batch) for batch in self.batches if isinstance(batch[0], Predict)]


class Heard:
    """A task with all that its listener heard."""

    def __init__(self, **fields: Any) -> None:
        self.events: list[Event] = []
        given = {"prompt": "a lake", "seed": 1, "width": 64, "height": 64, "steps": 4, **fields}
        inputs: dict[str, Tensor] = given.pop("inputs", {})
        owner: str = given.pop("owner", "")
        self.task = Task(Recipe.model_validate(given), self.events.append, inputs, owner)

    @property
    def steps(self) -> list[int]:
        return [event.step for event in self.events if isinstance(event, Progress)]

    @property
    def last(self) -> Event:
        return self.events[-1]

    @property
    def pixels(self) -> Tensor:
        assert isinstance(self.last, Finished), self.last
        return self.last.pixels


def engine_of(bundle: FakeBundle | None, *, max_rows: int = 64, memory: int | None = None, **options: Any) -> Engine:
    limits = Limits(max_rows=max_rows, memory=memory)
    return Engine(lambda name: cast(Bundle, bundle), limits=limits, **options)  # noqa: ARG005


def finish(engine: Engine, *heard: Heard) -> None:
    for each in heard:
        engine.submit(each.task)
    for _ in range(10_000):
        if not engine.step():
            return
    raise AssertionError("the engine did not come to an end")


def step_until(engine: Engine, reached: Callable[[], bool]) -> None:
    for _ in range(1000):
        if reached():
            return
        assert engine.step()
    raise AssertionError("that was never reached")
