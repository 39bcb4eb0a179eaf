"""Which calls are answered next. Policy only: knows keys, owners, rows, operations and the time, no network.

Steps and everything else (prompts, pictures to encode and decode) alternate: after a step there is room for as many
operations of other work as it had, so that steps wait for about as long again at most, and little work for no step
that is large. Steps of one key (checkpoint, latent shape, tokens) share a call; keys take turns by
deficit round robin (Shreedhar and Varghese, SIGCOMM 1995) in operations, weighted by the owners that they have: an
owner with jobs of two keys counts for half in each. Within a key the owner that was given least comes first, and of
each owner the job with the least work left, whose patience shortens what it seems to have left (shortest remaining
work, with ageing). Owners that come back are not given what they did not ask for meanwhile.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from app.engine.task import Task

AGEING_SECONDS = 5.0  # after so long a job counts as if half of its work were left, after twice that a third
DECODE, STEP = "Decode", "Predict"
DECODING_PARTS = 4  # about as many as a decoder has blocks


class Scheduler:
    """Choose, again and again, the tasks whose calls are answered together."""

    def __init__(self, *, ageing_seconds: float = AGEING_SECONDS) -> None:
        self._ageing = ageing_seconds
        self._given: dict[str, float] = {}  # operations, by owner
        self._here: set[str] = set()  # owners that have a job
        self._ring: list[object] = []  # keys, the one whose turn it is first
        self._deficits: dict[object, float] = {}
        self._room_for_others = 0.0  # operations until the next step is due

    def choose(self, tasks: Iterable[Task], now: float) -> list[Task]:
        """Return tasks of one key, none only if there are no tasks, and charge their owners for them."""
        steps: dict[object, list[Task]] = {}
        others: dict[object, list[Task]] = {}
        for task in tasks:
            (steps if task.asks.kind == STEP else others).setdefault(task.asks.key, []).append(task)
        self._open_accounts(steps, others)
        if not steps and not others:
            return []
        if others and (self._room_for_others > 0 or not steps):
            chosen = self._other(others)
            self._room_for_others -= sum(_cost_now(task) for task in chosen)
        else:
            key = self._turn(steps)
            chosen = self._filled(steps[key], now)
            self._room_for_others = sum(task.asks.cost for task in chosen)
            if len(steps) > 1:
                self._deficits[key] -= self._room_for_others
        return chosen

    def _open_accounts(self, *groups: Mapping[object, Sequence[Task]]) -> None:
        owners = {task.owner for group in groups for tasks in group.values() for task in tasks}
        if owners == self._here:
            return
        least = min((self._given[owner] for owner in owners & self._here), default=0.0)
        gone = {owner: given for owner, given in self._given.items() if owner not in owners and given > least}
        self._given = (gone if owners else {}) | {owner: max(self._given.get(owner, 0.0), least) for owner in owners}
        self._here = owners

    def _turn(self, steps: Mapping[object, list[Task]]) -> object:
        """The key whose turn it is: the first that can pay for a call after as few visits to all as possible."""
        if len(steps) == 1:
            self._ring, self._deficits = list(steps), dict.fromkeys(steps, 0.0)
            return self._ring[0]
        ring = [key for key in self._ring if key in steps]
        ring += [key for key in steps if key not in self._deficits]
        deficits = self._deficits = {key: self._deficits.get(key, 0.0) for key in ring}
        prices = {key: _price(tasks) for key, tasks in steps.items()}
        if deficits[ring[0]] < prices[ring[0]]:
            ring.append(ring.pop(0))
            quantum, weights = max(prices.values()), _weights(steps)
            visits = {key: max(1, math.ceil((prices[key] - deficits[key]) / (quantum * weights[key]))) for key in ring}
            first = min(range(len(ring)), key=lambda place: visits[ring[place]])
            for place, key in enumerate(ring):
                deficits[key] += quantum * weights[key] * (visits[ring[first]] - (place > first))
            ring = ring[first:] + ring[:first]
        self._ring = ring
        return ring[0]

    def _filled(self, tasks: Sequence[Task], now: float) -> list[Task]:
        """As many tasks of one key as its calls may have rows, one at least; owners that were given least first.

        A lone row takes in one task more: a CPU would be asked for it twice over.
        """
        lines: dict[str, list[Task]] = {}
        for task in tasks:
            lines.setdefault(task.owner, []).append(task)
        for line in lines.values():
            if len(line) > 1:
                line.sort(key=lambda task: self._seems_left(task, now), reverse=True)
        chosen: list[Task] = []
        rows, most = 0, tasks[0].asks.max_rows
        while lines and rows < most:
            owner = min(lines, key=lambda owner: self._given[owner])
            task = lines[owner].pop()
            if rows + task.asks.rows <= most or rows < 2:
                self._charge(task)
                chosen.append(task)
                rows += task.asks.rows
            if not lines[owner]:
                del lines[owner]
        return chosen

    def _seems_left(self, task: Task, now: float) -> float:
        return task.asks.work_left / (1 + (now - task.arrived_at) / self._ageing)

    def _other(self, groups: Mapping[object, list[Task]]) -> list[Task]:
        """What was begun goes on; then the owner that was given least, and what has waited longest."""
        tasks = (task for group in groups.values() for task in group)
        first = min(tasks, key=lambda task: (task.parts is None, self._given[task.owner], task.arrived_at))
        group = [first, *(task for task in groups[first.asks.key] if task is not first)]
        chosen: list[Task] = []
        room = first.asks.max_rows
        for task in group:
            if task.asks.rows <= room or not chosen:
                chosen.append(task)
                room -= task.asks.rows
                if task.parts is None:
                    self._charge(task)
        return chosen

    def _charge(self, task: Task) -> None:
        self._given[task.owner] += task.asks.cost


def _cost_now(task: Task) -> float:
    """What the next part costs, where a call is answered in parts."""
    return task.asks.cost / DECODING_PARTS if task.asks.kind == DECODE else task.asks.cost


def _price(tasks: Sequence[Task]) -> float:
    """What a call of these costs, about: as many of them as fit."""
    rows = sum(task.asks.rows for task in tasks)
    return sum(task.asks.cost for task in tasks) * min(1.0, tasks[0].asks.max_rows / rows)


def _weights(steps: Mapping[object, Sequence[Task]]) -> dict[object, float]:
    owners = {key: {task.owner for task in tasks} for key, tasks in steps.items()}
    keys_of = Counter(owner for those in owners.values() for owner in those)
    return {key: sum(1 / keys_of[owner] for owner in those) for key, those in owners.items()}
