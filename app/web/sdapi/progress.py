"""How far the caller's own pictures are, and stopping them. Never another's: there is no progress of the server."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends

from app.services import batch, generate
from app.services.errors import NotFound
from app.services.store import Store
from app.services.views import GroupView, JobView
from app.web.api.requests import require_json
from app.web.caller import Caller
from app.web.dependencies import StoreDep
from app.web.sdapi.shapes import ProgressQuestion
from app.web.waiting import ENDED

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Standing:
    """All jobs of the caller's open requests, in order, and what share of their steps has been made."""

    groups: Sequence[GroupView]

    @property
    def jobs(self) -> list[JobView]:
        return [job for group in self.groups for job in group.jobs]

    @property
    def running(self) -> JobView | None:
        return next((job for job in self.jobs if job.status == "running"), None)

    @property
    def ended(self) -> int:
        return sum(job.status in ENDED for job in self.jobs)

    @property
    def progress(self) -> float:
        """0 exactly where nothing is to be done."""
        shares = [1.0 if job.status in ENDED else job.step / max(1, job.steps) for job in self.jobs]
        return sum(shares) / len(shares) if shares else 0.0

    @property
    def eta(self) -> float:
        """Seconds to come, judged by those that have passed."""
        if not self.jobs or not self.progress:
            return 0.0
        passed = time.time() - min(job.created_at for job in self.jobs).timestamp()
        return max(0.0, round(passed * (1 / self.progress - 1), 3))


@router.get("/sdapi/v1/progress")
def progress(store: StoreDep, caller: Caller, skip_current_image: bool = False) -> dict[str, Any]:
    """How far the caller's pictures are; idle is a progress of 0 and no job."""
    standing = Standing(batch.open_groups(store, caller))
    running = standing.running
    names = batch.names(store, caller, [group.id for group in standing.groups])
    return {
        "progress": standing.progress,
        "eta_relative": standing.eta,
        "state": _state(standing),
        "current_image": None if skip_current_image or running is None else _preview(store, caller, running),
        "textinfo": _words(standing),
        "current_task": next(iter(names.values()), None),
    }


@router.post("/sdapi/v1/interrupt", dependencies=[Depends(require_json)])
def interrupt(store: StoreDep, caller: Caller) -> dict[str, Any]:
    """Cancel all that the caller has waiting or running. Pictures that are done are still answered."""
    _cancel(store, caller, "queued", "running")
    return {}


@router.post("/sdapi/v1/skip", dependencies=[Depends(require_json)])
def skip(store: StoreDep, caller: Caller) -> None:
    """Cancel what the caller has running; what waits comes next."""
    _cancel(store, caller, "running")


@router.post("/internal/progress", dependencies=[Depends(require_json)])
def task_progress(store: StoreDep, caller: Caller, given: ProgressQuestion) -> dict[str, Any]:
    """How far the request is to which the caller gave this name by `force_task_id`."""
    group = batch.named(store, caller, given.id_task) if given.id_task else None
    standing = Standing([group] if group else [])
    running = standing.running
    shown = _preview(store, caller, running) if running and given.live_preview else None
    is_new = running is not None and shown is not None and running.preview_version != given.id_live_preview
    return {
        "active": running is not None,
        "queued": bool(standing.jobs) and all(job.status == "queued" for job in standing.jobs),
        "completed": bool(standing.jobs) and standing.ended == len(standing.jobs),
        "progress": standing.progress,
        "eta": standing.eta,
        "live_preview": f"data:image/png;base64,{shown}" if is_new else None,
        "id_live_preview": running.preview_version if is_new and running else given.id_live_preview,
        "textinfo": _words(standing),
    }


@router.get("/internal/pending-tasks")
def pending_tasks(store: StoreDep, caller: Caller) -> dict[str, Any]:
    """The names of the caller's requests that are not done, the oldest first."""
    groups = [group.id for group in batch.open_groups(store, caller)]
    names = batch.names(store, caller, groups)
    known = [names[group_id] for group_id in groups if group_id in names]
    return {"size": len(known), "tasks": known}


@router.get("/internal/ping")
def ping(caller: Caller) -> dict[str, Any]:  # noqa: ARG001, a key is asked for where one is needed
    """Tell that the server is there."""
    return {}


def _state(standing: Standing) -> dict[str, Any]:
    jobs, running = standing.jobs, standing.running
    return {
        "skipped": False,
        "interrupted": False,
        "stopping_generation": False,
        "job": f"Picture {standing.ended + 1} of {len(jobs)}" if jobs else "",
        "job_count": len(jobs),
        "job_timestamp": f"{jobs[0].created_at:%Y%m%d%H%M%S}" if jobs else "0",
        "job_no": standing.ended,
        "sampling_step": running.step if running else 0,
        "sampling_steps": running.steps if running else 0,
    }


def _words(standing: Standing) -> str | None:
    waiting = [job.position for job in standing.jobs if job.position is not None]
    return f"In line, {min(waiting)} to go" if waiting and standing.running is None else None


def _preview(store: Store, owner: str, job: JobView) -> str | None:
    found = generate.preview(store, owner, job.id)
    return base64.b64encode(found[1]).decode() if found else None


def _cancel(store: Store, owner: str, *statuses: str) -> None:
    for job in Standing(batch.open_groups(store, owner)).jobs:
        if job.status in statuses:
            try:
                generate.cancel(store, owner, job.id)
            except NotFound:
                continue
