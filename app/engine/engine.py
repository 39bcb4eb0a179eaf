"""Continuous batching: the jobs of many users share each network call. Knows no thread, no HTTP and no file.

A job yields a call and is sent the answer (`models/jobs.py`). `Engine.step` answers the waiting calls of one kind and
key and lets their jobs go on to their next call, so a new job joins at the next step and a finished one leaves.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence, Set

import structlog
import torch
from torch import Tensor

from app.engine.counters import Counters
from app.engine.failures import explain, free_memory, is_out_of_memory
from app.engine.limits import Limits
from app.engine.pricing import asks_of
from app.engine.scheduler import Scheduler
from app.engine.task import NOTHING, Cancelled, Event, Failed, Finished, Progress, Started, Task
from models.bundle import Bundle
from models.calls import Call, Decode, Predict
from models.jobs import job_of
from models.room import too_large

PREVIEW_SECONDS = 0.2

log = structlog.get_logger()


class Engine:
    """Answer the calls of all its tasks, in turns.

    `bundle_of` gives the bundle of a checkpoint, None while a job of it has to wait, or raises an exception with the
    reason. `plan` is told before that, in every step, the checkpoints of the jobs that wait and of those under way.
    `limits` bound the rows of a U-Net call; a single picture may exceed them. `submit` and `cancel` may be called
    from any thread, `step` from one.
    """

    def __init__(
        self,
        bundle_of: Callable[[str], Bundle | None],
        *,
        plan: Callable[[Sequence[str], Set[str]], None] = lambda waiting, in_use: None,  # noqa: ARG005
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = Counters()
        self._bundle_of = bundle_of
        self._plan = plan
        self._clock = clock
        self._limits = limits or Limits()
        self._scheduler = Scheduler()
        self._arrivals: deque[Task] = deque()
        self._waiting: list[Task] = []
        self._tasks: dict[int, Task] = {}

    @property
    def running(self) -> int:
        """Number of tasks that are not over, those that wait for their checkpoint included."""
        return len(self._arrivals) + len(self._waiting) + len(self._tasks)

    def submit(self, task: Task) -> None:
        """Take a task; it joins at the next step."""
        task.arrived_at = self._clock()
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
        """Close cancelled, admit, choose what shares a call, answer, advance. False: nothing can be done now."""
        self._admit()
        self._close_cancelled()
        tasks = self._scheduler.choose(self._tasks.values(), self._clock())
        if not tasks:
            self._limits.forget()
            return False
        self._answer(tasks)
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
            if self._is_refused(task, task.bundle):
                return True
            task.job = job_of(task.recipe, task.bundle, task.inputs)
            self._await(task, next(task.job))
        except StopIteration as finished:  # an edit that changes nothing needs no network
            self._tell(task, Started())
            self._finish(task, finished.value)
        except Exception as error:
            self._tell(task, explain(error, at_start=True))
        else:
            self._tasks[task.id] = task
            self._tell(task, Started())
        return True

    def _is_refused(self, task: Task, bundle: Bundle) -> bool:
        memory = self._limits.memory
        native = (bundle.config.width, bundle.config.height)
        refusal = too_large(task.recipe, bundle.costs, memory, native) if memory is not None else None
        if refusal is not None:
            self._tell(task, Failed("out_of_memory", refusal.message))
        return refusal is not None

    def _await(self, task: Task, call: Call) -> None:
        task.call = call
        task.asks = asks_of(task, self._limits)

    def _close_cancelled(self) -> None:
        for task in [task for task in self._waiting if task.is_cancelled]:
            self._waiting.remove(task)
            self._tell(task, Cancelled())
        for task in [task for task in self._tasks.values() if task.is_cancelled]:
            self._end(task, Cancelled())

    def _answer(self, tasks: Sequence[Task]) -> None:
        """Answer the tasks together; if that fails find out whose fault it is, since no job has moved yet."""
        if isinstance(tasks[0].call, Decode):
            for task in tasks:
                self._decode(task)
            return
        began, before = self._clock(), _compiled(tasks)
        try:
            replies = self._ask(tasks)
        except Exception as error:
            self._recover(tasks, error)
            return
        answered, filled = (now - then for now, then in zip(_compiled(tasks), before, strict=True))
        self._count(tasks, began, compiled=answered, filled=filled)
        for task, reply in zip(tasks, replies, strict=True):
            self._advance(task, reply)

    def _decode(self, task: Task) -> None:
        """Do one part of decoding a picture."""
        assert task.bundle is not None
        assert isinstance(task.call, Decode)
        try:
            task.parts = task.parts or task.bundle.decode_in_parts(task.call)
            next(task.parts)
        except StopIteration as end:
            task.parts = None
            self._advance(task, end.value)
        except Exception as error:
            self._recover([task], error)

    def _ask(self, tasks: Sequence[Task]) -> list[Tensor]:
        bundle, calls = tasks[0].bundle, [task.call for task in tasks if task.call is not None]
        assert bundle is not None
        return bundle.answer(calls)

    def _recover(self, tasks: Sequence[Task], error: Exception) -> None:
        out_of_memory = is_out_of_memory(error)
        if out_of_memory:
            free_memory(error)
        if len(tasks) == 1:
            self._end(tasks[0], explain(error))
            return
        size = (len(tasks) + 1) // 2 if out_of_memory else 1
        if out_of_memory:
            rows = max(
                sum(task.asks.rows for task in tasks[first : first + size]) for first in range(0, len(tasks), size)
            )
            self._limits.found_too_many(tasks[0].asks.key, rows)
            log.warning("a batch was too large for the memory; it is halved", pictures=len(tasks), now=size)
        for first in range(0, len(tasks), size):
            self._answer(tasks[first : first + size])

    def _count(self, tasks: Sequence[Task], began: float, *, compiled: int, filled: int) -> None:
        calls = [task.call for task in tasks if isinstance(task.call, Predict)]
        if not calls or tasks[0].bundle is None:
            return
        rows = sum(call.rows for call in calls)
        padding = tasks[0].bundle.asked_rows(calls) - rows + filled
        self.counters.count_call(rows=rows, padding=padding, tasks=len(tasks), seconds=self._clock() - began)
        self.counters.compiled_total += compiled
        for task in tasks:
            task.ways.add("compiled" if compiled else "eager")
            if not task.has_waited:
                task.has_waited = True
                self.counters.wait_seconds.add(began - task.arrived_at)

    def _advance(self, task: Task, reply: Tensor) -> None:
        assert task.job is not None
        answered = task.call
        try:
            self._await(task, task.job.send(reply))
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
            match = task.bundle.match(task.recipe.prompt, pixels)
            self._end(task, Finished(pixels, task.bundle, compiled=task.compiled, match=match))
            return
        message = "The picture came out as values that are no numbers; try another size, seed or number format."
        self._end(task, Failed("numerical", message))

    def _end(self, task: Task, event: Event) -> None:
        self._tasks.pop(task.id, None)
        if task.job is not None:
            task.job.close()
        task.bundle = task.job = task.call = task.parts = None  # whoever holds the task must not hold the networks
        task.asks = NOTHING
        self._tell(task, event)

    def _tell(self, task: Task, event: Event) -> None:
        try:
            task.listener(event)
        except Exception:
            log.exception("a listener failed; its task is dropped", task=task.id)
            task.is_cancelled = True


def _compiled(tasks: Sequence[Task]) -> tuple[int, int]:
    """Calls that compiled networks have answered so far, and the rows that filled these up."""
    compiled = tasks[0].bundle.compiled if tasks[0].bundle else None
    return (compiled.answered, compiled.padding) if compiled else (0, 0)
