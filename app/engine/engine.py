"""Continuous batching: the jobs of many users share each network call. Knows no thread, no HTTP and no file.

A job yields a call and is sent the answer (`models/jobs.py`). `Engine.step` answers the waiting calls of one kind and
key and lets their jobs go on to their next call, so a new job joins at the next step and a finished one leaves.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import assert_never

import structlog
import torch
from torch import Tensor

from app.engine.failures import explain, is_out_of_memory
from app.engine.task import Cancelled, Event, Failed, Finished, Progress, Started, Task
from models.bundle import Bundle
from models.calls import Decode, Encode, EncodeImage, Predict
from models.jobs import job_of

MAX_ROWS = 16  # on a CPU a row costs no less beyond 8, but every step, and so every cancel, comes later
LEAST_CHARACTERS = 250  # that a prompt counts as: a chunk holds about as many
MAX_CHARACTERS = 4000  # of all prompts that are encoded in one turn: sixteen chunks
PREVIEW_SECONDS = 0.2

Key = tuple[str, str, tuple[int, ...]]  # kind of call, checkpoint, what rows of one call share: shape, tokens, edges

log = structlog.get_logger()


@dataclass
class Counters:
    """What has been done since the start. A step is one U-Net answer to one task."""

    rows_total: int = 0
    calls_total: int = 0
    steps_total: int = 0
    step_seconds_total: float = 0.0

    def as_dict(self) -> dict[str, float]:
        rows_per_call = self.rows_total / self.calls_total if self.calls_total else 0.0
        return {**vars(self), "rows_per_call": rows_per_call}


class Engine:
    """Answer the calls of all its tasks, in turns.

    `bundle_of` gives the bundle of a checkpoint, None while a job of it has to wait, or raises an exception with the
    reason. `plan` is told before that, in every step, the checkpoints of the jobs that wait and of those under way.
    `max_rows` bounds the rows of a U-Net call; a single picture may exceed it. `submit` and `cancel` may be called
    from any thread, `step` from one.
    """

    def __init__(
        self,
        bundle_of: Callable[[str], Bundle | None],
        *,
        plan: Callable[[Sequence[str], Set[str]], None] = lambda waiting, in_use: None,  # noqa: ARG005
        max_rows: int = MAX_ROWS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = Counters()
        self._bundle_of = bundle_of
        self._plan = plan
        self._max_rows = max_rows
        self._clock = clock
        self._arrivals: deque[Task] = deque()
        self._waiting: list[Task] = []
        self._tasks: dict[int, Task] = {}  # in the order in which they were last served
        self._served: dict[Key, int] = {}
        self._limits: dict[Key, int] = {}
        self._turn = 0

    @property
    def running(self) -> int:
        """Number of tasks that are not over, those that wait for their checkpoint included."""
        return len(self._arrivals) + len(self._waiting) + len(self._tasks)

    def submit(self, task: Task) -> None:
        """Take a task; it joins at the next step."""
        self._arrivals.append(task)

    def cancel(self, task_id: int) -> None:
        """Drop a task at the next step; one that is over or unknown is left alone."""
        for task in (*self._arrivals, *self._waiting, *self._tasks.values()):
            if task.id == task_id:
                task.is_cancelled = True

    def close(self) -> None:
        """Cancel every task, at once."""
        self._admit()
        for task in (*self._waiting, *self._tasks.values()):
            task.is_cancelled = True
        self._close_cancelled()

    @torch.inference_mode()
    def step(self) -> bool:
        """Close cancelled, admit, select one kind and key, answer, advance. False: nothing can be done now."""
        self._admit()
        self._close_cancelled()
        key, tasks = self._select()
        if key is None:
            return False
        self._turn += 1
        self._served[key] = self._turn
        self._answer(key, tasks)
        return True

    def _admit(self) -> None:
        while self._arrivals:
            self._waiting.append(self._arrivals.popleft())
        waiting = [task.recipe.checkpoint for task in self._waiting if not task.is_cancelled]
        self._plan(waiting, {task.recipe.checkpoint for task in self._tasks.values()})
        still_waiting = []
        for task in self._waiting:
            if not task.is_cancelled and self._begin(task):
                continue
            still_waiting.append(task)
        self._waiting = still_waiting

    def _begin(self, task: Task) -> bool:
        """Start the job if its checkpoint is there; True unless it has to wait."""
        try:
            task.bundle = self._bundle_of(task.recipe.checkpoint)
            if task.bundle is None:
                return False
            task.job = job_of(task.recipe, task.bundle, task.inputs)
            task.call = next(task.job)
        except StopIteration as finished:  # an edit that changes nothing needs no network
            self._tell(task, Started())
            self._finish(task, finished.value)
        except Exception as error:
            self._tell(task, explain(error, at_start=True))
        else:
            self._tasks[task.id] = task
            self._tell(task, Started())
        return True

    def _close_cancelled(self) -> None:
        for task in [task for task in self._waiting if task.is_cancelled]:
            self._waiting.remove(task)
            self._tell(task, Cancelled())
        for task in [task for task in self._tasks.values() if task.is_cancelled]:
            self._end(task, Cancelled())

    def _select(self) -> tuple[Key | None, list[Task]]:
        """The key that was served longest ago, and the first of its tasks in line, as many as fit."""
        groups: dict[Key, list[Task]] = {}
        for task in self._tasks.values():
            groups.setdefault(_key(task), []).append(task)
        self._served = {key: turn for key, turn in self._served.items() if key in groups}
        self._limits = {key: limit for key, limit in self._limits.items() if key in groups}
        if not groups:
            return None, []
        key = min(groups, key=lambda key: self._served.get(key, 0))
        return key, groups[key][: self._most(key, groups[key])]

    def _most(self, key: Key, tasks: Sequence[Task]) -> int:
        limit = self._limits.get(key, len(tasks))
        match key[0]:
            case "Predict":
                return min(limit, _fitting((_rows(task) for task in tasks), self._max_rows))
            case "Decode" | "EncodeImage":
                return 1
            case _:
                return min(limit, _fitting((_characters(task) for task in tasks), MAX_CHARACTERS))

    def _answer(self, key: Key, tasks: Sequence[Task]) -> None:
        """Answer the tasks together; if that fails find out whose fault it is, since no job has moved yet."""
        began = self._clock()
        try:
            replies = self._ask(tasks)
        except Exception as error:
            self._recover(key, tasks, error)
            return
        self._count(tasks, self._clock() - began)
        for task, reply in zip(tasks, replies, strict=True):
            self._tasks[task.id] = self._tasks.pop(task.id)  # to the end of the line
            self._advance(task, reply)

    def _ask(self, tasks: Sequence[Task]) -> list[Tensor]:
        bundle, calls = tasks[0].bundle, [task.call for task in tasks if task.call is not None]
        assert bundle is not None
        return bundle.answer(calls)

    def _recover(self, key: Key, tasks: Sequence[Task], error: Exception) -> None:
        out_of_memory = is_out_of_memory(error)
        if out_of_memory:
            _free_memory()
        if len(tasks) == 1:
            self._end(tasks[0], explain(error))
            return
        size = (len(tasks) + 1) // 2 if out_of_memory else 1
        if out_of_memory:
            self._limits[key] = size
            log.warning("a batch was too large for the memory; it is halved", pictures=len(tasks), now=size)
        for first in range(0, len(tasks), size):
            self._answer(key, tasks[first : first + size])

    def _count(self, tasks: Sequence[Task], seconds: float) -> None:
        rows = sum(task.call.rows for task in tasks if isinstance(task.call, Predict))
        if rows:
            self.counters.rows_total += rows
            self.counters.calls_total += 1
            self.counters.steps_total += len(tasks)
            self.counters.step_seconds_total += seconds

    def _advance(self, task: Task, reply: Tensor) -> None:
        assert task.job is not None
        answered = task.call
        try:
            task.call = task.job.send(reply)
        except StopIteration as finished:
            self._finish(task, finished.value)
        except Exception as error:
            self._end(task, explain(error))
        else:
            self._report(task, answered)

    def _report(self, task: Task, answered: object) -> None:
        """Tell how many steps are done: samplers with two predictions a step have not moved after the first."""
        if not isinstance(answered, Predict) or task.bundle is None:
            return
        following = task.call if isinstance(task.call, Predict) else None
        done = answered.step + 1 if following is None else following.step
        if done <= task.steps_done:
            return
        task.steps_done = done
        latents, now = None, self._clock()
        if following is not None and now - task.previewed_at >= PREVIEW_SECONDS:
            latents, task.previewed_at = following.denoised, now
        self._tell(task, Progress(done, answered.steps, latents, task.bundle, answered.backdrop))

    def _finish(self, task: Task, pixels: Tensor) -> None:
        assert task.bundle is not None
        if bool(torch.isfinite(pixels).all()):
            self._end(task, Finished(pixels, task.bundle))
            return
        message = "The picture came out as values that are no numbers; try another size, seed or number format."
        self._end(task, Failed("numerical", message))

    def _end(self, task: Task, event: Event) -> None:
        self._tasks.pop(task.id, None)
        if task.job is not None:
            task.job.close()
        task.bundle = task.job = task.call = None  # whoever still holds the task must not hold the networks
        self._tell(task, event)

    def _tell(self, task: Task, event: Event) -> None:
        try:
            task.listener(event)
        except Exception:
            log.exception("a listener failed; its task is dropped", task=task.id)
            task.is_cancelled = True


def _key(task: Task) -> Key:
    """Calls of one key may be answered together."""
    call = task.call
    assert call is not None
    kind, name = type(call).__name__, task.recipe.checkpoint
    match call:
        case Encode():
            return kind, name, ()
        case EncodeImage():
            return kind, name, (*call.pixels.shape, call.tiling)
        case Predict():
            return kind, name, (*call.sample.shape, len(call.conds[0]), call.tiling)
        case Decode():
            return kind, name, (*call.latents.shape, call.tiling)
        case _:
            assert_never(call)


def _fitting(sizes: Iterable[int], most: int) -> int:
    """How many of the first are at most `most` together; one at least."""
    return max(1, sum(total <= most for total in itertools.accumulate(sizes)))


def _rows(task: Task) -> int:
    return task.call.rows if isinstance(task.call, Predict) else 0


def _characters(task: Task) -> int:
    """What encoding costs, as far as a text tells; an empty prompt is a chunk, too."""
    return max(LEAST_CHARACTERS, len(task.call.text)) if isinstance(task.call, Encode) else 0


def _free_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
