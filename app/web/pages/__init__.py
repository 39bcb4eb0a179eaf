"""The pages that people see, but for `docs`, which is about programs; nothing here knows JSON or SQL."""

from __future__ import annotations

from fastapi.routing import APIRoute

from app.web.pages import canvas, checkpoints, gallery, inspect, patterns, selection, share, start, studio

PARTS = tuple(
    page.router for page in (studio, inspect, selection, gallery, share, start, canvas, checkpoints, patterns)
)

for _route in (route for router in PARTS for route in router.routes):
    if isinstance(_route, APIRoute) and _route.methods == {"GET"}:
        _route.methods = {"GET", "HEAD"}  # asked by what previews links; the server sends no body then
