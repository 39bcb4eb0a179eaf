"""For those who run the server: alive, ready, and how busy."""

from __future__ import annotations

import os
import shutil

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from app.services import generate
from app.services.errors import ServiceError
from app.services.store import Store
from app.settings import Settings
from app.web.api.shapes import Health, Readiness
from app.web.dependencies import EngineStatus, EngineStatusDep, SettingsDep, StoreDep
from app.web.metrics import Metrics

router = APIRouter(tags=["operation"])

MIN_FREE_BYTES = 64 * 2**20
OK = "ok"


@router.get("/healthz", response_model=Health)
async def healthz() -> Health:
    """Tell that this process answers; asks neither the database nor the engine."""
    return Health(status="ok")


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness, "description": "Not ready."}})
async def readyz(store: StoreDep, settings: SettingsDep, engine: EngineStatusDep, response: Response) -> Readiness:
    """Tell whether pictures can be made now: the database answers, the disk takes files, the engine is ready."""
    checks = {
        "database": await to_thread.run_sync(_database, store),
        "disk": await to_thread.run_sync(_disk, settings),
        "engine": _engine(engine),
    }
    is_ready = all(state == OK for state in checks.values())
    if not is_ready:
        response.status_code = 503
    return Readiness(ready=is_ready, checks=checks)


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}, "description": "Metrics."}}
)
async def metrics(request: Request, store: StoreDep, engine: EngineStatusDep) -> Response:
    """Tell Prometheus about the queue, the engine and the requests."""
    state = request.app.state
    counters: Metrics = state.metrics
    text = counters.render(
        queue=await to_thread.run_sync(generate.queue_counts, store),
        engine={"state": engine.state, "metrics": engine.metrics, "compile": engine.details.get("compile", {})},
        leases_lost=state.dispatcher.leases_lost,
        streams=state.streams.count,
    )
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _database(store: Store) -> str:
    try:
        generate.queue_counts(store)
    except ServiceError as error:
        return error.code
    except Exception:  # whatever it is, the answer is that we are not ready
        return "unreachable"
    return OK


def _disk(settings: Settings) -> str:
    try:
        free = shutil.disk_usage(settings.data).free
    except OSError:
        return "missing"
    if free < MIN_FREE_BYTES:
        return "full"
    return OK if os.access(settings.data, os.W_OK | os.X_OK) else "read_only"


def _engine(engine: EngineStatus) -> str:
    return OK if engine.is_ready else engine.state
