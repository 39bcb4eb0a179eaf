"""OpenAI's interface for images, `/v1`, for the clients that speak it; a translation and nothing more."""

from __future__ import annotations

from app.web.openai import edits, files, generations, models

PARTS = (generations.router, edits.router, models.router, files.router)
