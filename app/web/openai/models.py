"""`GET /v1/models`: the checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends

from app.web.caller import current_caller
from app.web.dependencies import CatalogueDep
from app.web.openai import translate
from models.checkpoint.facts import CheckpointFacts

router = APIRouter(prefix="/v1/models", include_in_schema=False, dependencies=[Depends(current_caller)])


@router.get("")
def models(catalogue: CatalogueDep) -> dict[str, Any]:
    """All checkpoints, the default first."""
    default = catalogue.default.name
    found = sorted(catalogue.checkpoints(), key=lambda facts: facts.name != default)
    return {"object": "list", "data": [_model(facts) for facts in found]}


@router.get("/{model:path}")
def model(catalogue: CatalogueDep, model: str) -> dict[str, Any]:
    """One checkpoint; names of the hub have a slash."""
    return _model(translate.checkpoint_of(catalogue, model))


def _model(facts: CheckpointFacts) -> dict[str, Any]:
    try:
        created = int(Path(facts.path).stat().st_mtime)
    except OSError:  # it was taken away, which is found out when somebody asks for it
        created = 0
    return {"id": facts.name, "object": "model", "created": created, "owned_by": "mezzotint"}
