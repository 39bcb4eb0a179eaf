"""The pages that people see, but for `docs`, which is about programs; nothing here knows JSON or SQL."""

from __future__ import annotations

from app.web.pages import canvas, checkpoints, gallery, inspect, patterns, selection, share, start, studio

PARTS = tuple(
    page.router for page in (studio, inspect, selection, gallery, share, start, canvas, checkpoints, patterns)
)
