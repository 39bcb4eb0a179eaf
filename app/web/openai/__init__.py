"""OpenAI's interface for images, `/v1`, for the clients that speak it; a translation and nothing more."""

from __future__ import annotations

from fastapi import APIRouter

from app.web.openai import edits, files, generations, models

router = APIRouter(include_in_schema=False)
for part in (generations, edits, models, files):
    router.include_router(part.router)
