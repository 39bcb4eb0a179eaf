"""Which checkpoints there are, what they can do, and which is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from app.services.catalogue import Catalogue
from app.web.dependencies import CatalogueDep, EngineStatus, EngineStatusDep
from app.web.templating import render
from models.checkpoint.facts import CheckpointFacts

router = APIRouter()


@dataclass(frozen=True, slots=True)
class CheckpointView:
    """A checkpoint and what the engine says of it: `state` is available, loading, ready or failed."""

    facts: CheckpointFacts
    state: str
    error: str | None


@router.get("/checkpoints")
def checkpoints(request: Request, catalogue: CatalogueDep, engine: EngineStatusDep) -> HTMLResponse:
    """List all checkpoints; while one is loading the list asks again."""
    return render(
        request,
        "checkpoints.html",
        part="_checkpoints.html",
        current_page="/checkpoints",
        checkpoints=views(catalogue, engine),
        problems={Path(path).name: message for path, message in catalogue.problems.items()},
        engine=engine,
    )


def views(catalogue: Catalogue, engine: EngineStatus) -> list[CheckpointView]:
    """Join what is on disk with what the engine reports."""
    reported = {item["name"]: item for item in engine.checkpoints}
    return [
        CheckpointView(
            facts=facts,
            state=reported.get(facts.name, {}).get("state", "available"),
            error=reported.get(facts.name, {}).get("error"),
        )
        for facts in catalogue.checkpoints()
    ]
