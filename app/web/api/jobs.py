"""`/api/jobs`: ask for images, look after them, cancel them, try them again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Response

from app.services import generate
from app.services.generate import JobRequest
from app.web.api.multipart import FORM_BODY, JsonOrMultipart
from app.web.api.requests import require_json
from app.web.api.shapes import BUSY, NOT_FOUND, NOT_LOST, REFUSED, Answers, Group, Job
from app.web.caller import require_known
from app.web.dependencies import CatalogueDep, Owner, StoreDep

router = APIRouter(
    prefix="/api/jobs", tags=["jobs"], route_class=JsonOrMultipart, dependencies=[Depends(require_known)]
)

PICTURE = (  # 64 x 64 pixels, all blue
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAUUlEQVR42u3PMQ0AMAgAMJhqlCAHbVPBQdI6aFZPXPbiOAEBAQEBAQEBAQEBAQEBAQEB"
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAYF9H/UgAkxaBgOwAAAAAElFTkSuQmCC"
)
MASK = (  # as large, white in the middle
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQAAAACCEkxzAAAAHklEQVR42mNgGFyAkYHhPwMDAyMDE0xklIHMGGwAAPa7AUAn7aGOAAAAAElFTkSuQmCC"
)
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
    {
        "prompt": "a lighthouse on an island",
        "image": f"data:image/png;base64,{PICTURE}",
        "mask": f"data:image/png;base64,{MASK}",
        "strength": 0.9,
        "frame": {"x": -64, "y": 0, "width": 192, "height": 64},
    },
]
REPLAYED: Answers = {200: {"model": Group, "description": "What this Idempotency-Key was answered before."}}


@router.post(
    "",
    status_code=202,
    response_model=Group,
    responses={**REPLAYED, **REFUSED, **BUSY, 422: NOT_FOUND[422]},
    dependencies=[Depends(require_json)],
    openapi_extra=FORM_BODY,
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
    """Ask for 1 to 8 images. They are durable when this answers; what is left out is the checkpoint's default.

    With `image` they begin from that picture: image to image, with `mask` inpainting, with a `frame` beyond the
    picture outpainting. Both may be sent as files of a multipart form, whose other fields are those of the JSON.
    """
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


@router.post("/{job_id}/retry", response_model=Job, responses={**NOT_FOUND, **NOT_LOST, 403: REFUSED[403], **BUSY})
def post_retry(store: StoreDep, owner: Owner, job_id: str) -> Job:
    """Queue a failed or cancelled job again, with the same seed. One that is a candidate of a canvas stays there."""
    return Job.of(generate.retry(store, owner, job_id))
