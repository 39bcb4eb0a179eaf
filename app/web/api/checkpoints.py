"""`/api/checkpoints`: what images can be asked from."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter

from app.services.catalogue import Catalogue
from app.services.errors import ServiceError
from app.web.api.shapes import Checkpoint, Checkpoints
from app.web.dependencies import CatalogueDep, EngineStatus, EngineStatusDep

router = APIRouter(prefix="/api/checkpoints", tags=["checkpoints"])


@router.get("", response_model=Checkpoints)
def get_checkpoints(catalogue: CatalogueDep, engine: EngineStatusDep) -> Checkpoints:
    """List the checkpoints with their defaults and whether the engine has loaded them."""
    default = _default_name(catalogue)
    states = {item["name"]: item for item in engine.checkpoints}
    found = [
        Checkpoint(
            name=facts.name,
            title=facts.title,
            family=facts.family,
            width=facts.width,
            height=facts.height,
            prediction_type=facts.prediction_type,
            bytes=facts.bytes,
            defaults=dict(facts.defaults),
            examples=list(facts.examples),
            is_default=facts.name == default,
            state=states.get(facts.name, {}).get("state", _unknown(engine)),
            error=states.get(facts.name, {}).get("error"),
        )
        for facts in catalogue.checkpoints()
    ]
    return Checkpoints(checkpoints=found, problems=_problems(catalogue))


def _problems(catalogue: Catalogue) -> list[str]:
    """Say what is wrong with the others, by their names: where they lie is no reader's business."""
    return [text.replace(path, Path(path).name) for path, text in catalogue.problems.items()]


def _unknown(engine: EngineStatus) -> str:
    return "available" if engine.is_ready else "loading"


def _default_name(catalogue: Catalogue) -> str | None:
    try:
        return catalogue.default.name
    except ServiceError:
        return None
