"""`/api/jobs`: ask for images, look after them, cancel them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Response

from app.services import generate
from app.services.generate import JobRequest
from app.web.api.requests import require_json
from app.web.api.shapes import BUSY, NOT_FOUND, REFUSED, Answers, Group, Job
from app.web.dependencies import CatalogueDep, Owner, StoreDep

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

EXAMPLES = [
    {"prompt": "snowy mountains at sunset with a cabin on the left"},
    {
        "prompt": "a lighthouse on an island in a storm",
        "negative_prompt": "birds",
        "steps": 20,
        "guidance_scale": 7.5,
        "sampler": "ddim",
        "eta": 0.0,
        "seed": 7,
        "count": 4,
    },
]
REPLAYED: Answers = {200: {"model": Group, "description": "What this Idempotency-Key was answered before."}}


@router.post(
    "",
    status_code=202,
    response_model=Group,
    responses={**REPLAYED, **REFUSED, **BUSY, 422: NOT_FOUND[422]},
    dependencies=[Depends(require_json)],
)
def post_jobs(
    store: StoreDep,
    catalogue: CatalogueDep,
    owner: Owner,
    response: Response,
    request: Annotated[JobRequest, Body(examples=EXAMPLES)],
    idempotency_key: Annotated[
        str | None, Header(description="A repeat with the same key and body, within a day, makes no new image.")
    ] = None,
) -> Group:
    """Ask for 1 to 8 images. They are durable when this answers; what is left out is the checkpoint's default."""
    group = generate.submit(store, catalogue, owner, request, idempotency_key)
    if group.replayed:
        response.status_code = 200
    return Group.of(group)


@router.get("/{job_id}", response_model=Job, responses=NOT_FOUND)
def get_job(store: StoreDep, owner: Owner, job_id: str) -> Job:
    """Tell how far a job is."""
    return Job.of(generate.job_view(store, owner, job_id))


@router.delete("/{job_id}", response_model=Job, responses={403: REFUSED[403], **NOT_FOUND})
def delete_job(store: StoreDep, owner: Owner, job_id: str) -> Job:
    """Cancel a job: at once if queued, within a step if running. On one that has ended this changes nothing."""
    return Job.of(generate.cancel(store, owner, job_id))
