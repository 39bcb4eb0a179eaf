"""Which checkpoints are in memory, when there is not room for all: who is let in, and who has to make room.

Policy only: knows names, bytes and the time, neither files nor networks. What is idle leaves first, the least
recently used before the others; what is at work never leaves. Jobs of a checkpoint that is in go on joining it,
so a switch costs its load once for many jobs. But one that has waited for `patience` seconds gets its turn: the
checkpoints in its way take no new jobs, finish those that they have, and leave. Having come in, each may stay as
long, so nobody waits longer than the others before it take to be loaded, to stay and to finish.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal

PATIENCE_SECONDS = 10.0


@dataclass
class Seat:
    """One checkpoint: how many bytes it takes, or will take, and since when it is in, idle or waited for."""

    bytes: int
    state: Literal["out", "loading", "in"] = "out"
    ready_at: float = 0.0
    used_at: float = 0.0
    waits_since: float | None = None


@dataclass(frozen=True, slots=True)
class Moves:
    """What is to be done now, in this order."""

    evict: list[str] = field(default_factory=list)
    load: list[str] = field(default_factory=list)


class Residency:
    """Keep the checkpoints that are in memory below `budget` bytes. One larger than that is let in alone."""

    def __init__(
        self,
        budget: int,
        *,
        patience: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = budget
        self.yielding: frozenset[str] = frozenset()
        self._patience = patience
        self._clock = clock
        self._seats: dict[str, Seat] = {}

    @property
    def used(self) -> int:
        """Bytes of what is in memory, or on its way."""
        return sum(seat.bytes for seat in self._seats.values() if seat.state != "out")

    def add(self, name: str, size: int) -> None:
        """Know of a checkpoint that is not in memory, and about how many bytes it will take."""
        self._seats[name] = Seat(size)

    def forget(self, name: str) -> None:
        """It is another one now, under the same name."""
        self._seats.pop(name, None)

    def knows(self, name: str) -> bool:
        return name in self._seats

    def entered(self, name: str, size: int) -> None:
        """A load has ended well; it takes `size` bytes."""
        now = self._clock()
        self._seats[name] = Seat(size, "in", ready_at=now, used_at=now)

    def resize(self, name: str, size: int) -> None:
        """It takes so many bytes by now."""
        if seat := self._seats.get(name):
            seat.bytes = size

    def left(self, name: str) -> None:
        """It is not in memory any more, or a load has failed."""
        if seat := self._seats.get(name):
            seat.state = "out"

    def plan(self, waiting: Sequence[str], in_use: Set[str]) -> Moves:
        """Say what to evict and to load, given whose jobs wait and whose are under way.

        Until the next plan, checkpoints in `yielding` must be given no new jobs.
        """
        now = self._clock()
        self._note(waiting, in_use, now)
        self.yielding = frozenset()
        moves = Moves()
        for name, seat in self._line():
            victims = self._victims(seat.bytes, in_use)
            if victims is None:
                continue
            busy = [victim for victim in victims if self._is_busy(victim, in_use)]
            if busy and not self._may_interrupt(seat, busy, now):
                continue
            self.yielding |= set(busy)
            if any(victim in in_use for victim in victims):
                break  # it is next; nobody who came later may take the room that is being made
            self._move(moves, name, victims)
        return moves

    def _note(self, waiting: Sequence[str], in_use: Set[str], now: float) -> None:
        for name, seat in self._seats.items():
            if name in in_use:
                seat.used_at = now
            if name not in waiting:
                seat.waits_since = None
            elif seat.waits_since is None:
                seat.waits_since = now

    def _line(self) -> list[tuple[str, Seat]]:
        """Those that are out and waited for, the longest wait first."""
        since = {
            name: seat.waits_since
            for name, seat in self._seats.items()
            if seat.state == "out" and seat.waits_since is not None
        }
        return [(name, self._seats[name]) for name in sorted(since, key=since.__getitem__)]

    def _victims(self, size: int, in_use: Set[str]) -> list[str] | None:
        """Who has to leave for `size` more bytes: the idle first, then those that have been in longest.

        None if that much room cannot be made before what is being loaded has come in.
        """
        inside = [(name, seat) for name, seat in self._seats.items() if seat.state == "in"]
        inside.sort(key=lambda item: (self._is_busy(item[0], in_use), self._age(item[0], in_use)))
        used, victims = self.used, list[str]()
        for name, seat in inside:
            if used + size <= self.budget:
                break
            used -= seat.bytes
            victims.append(name)
        is_something_loading = any(seat.state == "loading" for seat in self._seats.values())
        return None if used + size > self.budget and is_something_loading else victims

    def _age(self, name: str, in_use: Set[str]) -> float:
        seat = self._seats[name]
        return seat.ready_at if self._is_busy(name, in_use) else seat.used_at

    def _is_busy(self, name: str, in_use: Set[str]) -> bool:
        return name in in_use or self._seats[name].waits_since is not None

    def _may_interrupt(self, seat: Seat, busy: Sequence[str], now: float) -> bool:
        assert seat.waits_since is not None
        since = max(seat.waits_since, *(self._seats[name].ready_at for name in busy))
        return now - since >= self._patience

    def _move(self, moves: Moves, name: str, victims: Sequence[str]) -> None:
        for victim in victims:
            self._seats[victim].state, self._seats[victim].waits_since = "out", None
        self._seats[name].state = "loading"
        moves.evict.extend(victims)
        moves.load.append(name)
