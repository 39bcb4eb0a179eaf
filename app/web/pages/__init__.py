"""The pages that people see. `router` holds them all; nothing here knows JSON or SQL."""

from __future__ import annotations

from fastapi import APIRouter

from app.web.pages import checkpoints, gallery, patterns, share, studio

router = APIRouter(include_in_schema=False)
for page in (studio, gallery, share, checkpoints, patterns):
    router.include_router(page.router)
