"""A1111's interface, `/sdapi/v1` and `/internal`, for the clients that speak it; a translation and nothing more."""

from __future__ import annotations

from fastapi import APIRouter

from app.web.sdapi import generate, lists, options, pictures, progress

router = APIRouter(include_in_schema=False)
for part in (generate, pictures, progress, options, lists):
    router.include_router(part.router)
