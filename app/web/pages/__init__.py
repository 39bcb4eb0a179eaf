"""The pages that people see. `router` holds them all; nothing here knows JSON or SQL."""

from __future__ import annotations

from fastapi import APIRouter

from app.web.pages import canvas, checkpoints, gallery, inspect, patterns, selection, share, start, studio

router = APIRouter(include_in_schema=False)
for page in (studio, inspect, selection, gallery, share, start, canvas, checkpoints, patterns):
    router.include_router(page.router)
