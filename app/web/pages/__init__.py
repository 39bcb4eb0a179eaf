"""The pages that people see. `router` holds them all; nothing here knows JSON or SQL."""

from __future__ import annotations

from app.web.pages import canvas, checkpoints, docs, gallery, inspect, patterns, selection, share, start, studio

PARTS = tuple(
    page.router for page in (studio, inspect, selection, gallery, share, start, canvas, checkpoints, patterns, docs)
)
