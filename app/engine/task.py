"""One picture in the engine, and what is told of it. Imports no torch, so that tasks can wait while it loads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from models.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from models.bundle import Bundle
    from models.calls import Backdrop, Call
    from models.jobs import Job

Compiled = Literal["no", "partly", "yes"]  # whether a picture's steps were answered by compiled networks
FailureCode = Literal["numerical", "out_of_memory", "checkpoint", "internal"]


@dataclass(frozen=True, slots=True)
class Started:
    """The first network call is about to be made."""


@dataclass(frozen=True, eq=False, slots=True)
class Progress:
    """`step` of `steps` are done; `latents` (1, C, h, w), the last prediction, come with some of these only.

    They belong into the `backdrop`, if there is one.
    """

    step: int
    steps: int
    latents: Tensor | None
    bundle: Bundle
    backdrop: Backdrop | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Finished:
    """The picture: pixels (1, 3, H, W), -1..1, all finite; `match` is how probably it shows its prompt, 0..1."""

    pixels: Tensor
    bundle: Bundle
    compiled: Compiled = "no"
    match: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be no picture; `message` is for the user."""

    code: FailureCode
    message: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Nobody wants the picture any more."""


Event = Started | Progress | Finished | Failed | Cancelled
Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Asks:
    """What a task's call asks of the device. Calls of one `kind` and `key` may be answered together.

    Of `rows` (of the U-Net; characters of a prompt; else 1) they may have `max_rows` in all. `cost` and `work_left`,
    that of the whole job from here on, are in operations.
    """

    kind: str = ""
    key: object = None
    rows: int = 1
    max_rows: int = 1
    cost: float = 0.0
    work_left: float = 0.0


NOTHING = Asks()
_numbers = itertools.count(1)


@dataclass(eq=False)
class Task:
    """A recipe under way. `listener` is called on the engine's thread and must return at once.

    `owner` is whoever the device's time is shared with fairly. The listener hears `Started`, any number of
    `Progress`, and exactly one of `Finished`, `Failed` and `Cancelled`. Only the
    engine touches the fields below `id`; other threads may set `is_cancelled`.
    """

    recipe: Recipe
    listener: Listener
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    owner: str = ""
    id: int = field(default_factory=lambda: next(_numbers))
    is_cancelled: bool = False
    arrived_at: float = 0.0
    bundle: Bundle | None = None
    job: Job | None = None
    call: Call | None = None
    parts: Generator[None, None, Tensor] | None = None  # the answer to the call, where that is begun
    asks: Asks = NOTHING
    has_waited: bool = False
    steps_done: int = 0
    previewed_at: float = float("-inf")
    ways: set[str] = field(default_factory=set)

    @property
    def compiled(self) -> Compiled:
        return "no" if "compiled" not in self.ways else "partly" if "eager" in self.ways else "yes"
