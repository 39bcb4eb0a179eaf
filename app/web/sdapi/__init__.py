"""A1111's interface, `/sdapi/v1` and `/internal`, for the clients that speak it; a translation and nothing more."""

from __future__ import annotations

from app.web.sdapi import generate, lists, options, pictures, progress

PARTS = (generate.router, pictures.router, progress.router, options.router, lists.router)
