"""`/api/checkpoints`: what images can be asked from."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from app.web.api.checkpoint_shapes import Checkpoints
from app.web.api.requests import require_json
from app.web.caller import require_known
from app.web.checkpoints import shelves
from app.web.dependencies import CatalogueDep, EngineStatusDep

router = APIRouter(prefix="/api/checkpoints", tags=["checkpoints"], dependencies=[Depends(require_known)])


@router.get("", response_model=Checkpoints)
def get_checkpoints(catalogue: CatalogueDep, engine: EngineStatusDep) -> Checkpoints:
    """List the checkpoints with their defaults and whether the engine has loaded them."""
    return Checkpoints.of(shelves(catalogue, engine))


@router.post("/rescan", response_model=Checkpoints, dependencies=[Depends(require_json)])
def rescan(catalogue: CatalogueDep, engine: EngineStatusDep) -> Checkpoints:
    """Look at the folders anew, and list what is there now. A name keeps meaning the same file."""
    catalogue.rescan()
    return Checkpoints.of(shelves(catalogue, engine))
