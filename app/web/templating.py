"""Turn plain view values into HTML. The one place that knows Jinja2, the addresses of static files, and `HX-Request`.

A message of the page's event stream is one or more of the fragments that this module renders, each wrapped by
`partial()`. Both fragments may be sent at any time and any number of times: they are morphed into what is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.types import Scope

from app.services.views import ImageView, JobView
from app.web.compiled import CompiledTemplates
from models.sampler_names import SAMPLERS, SCHEDULERS

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "static"
TEMPLATES = ROOT / "templates"
ONE_YEAR = 31_536_000  # seconds

HEADINGS = {
    400: "That request could not be read",
    403: "That is not allowed from here",
    404: "Nothing is here",
    405: "That cannot be done here",
    413: "That is too large",
    422: "Something in there does not fit",
    429: "One moment, please",
    500: "Something broke on our side",
    503: "Not ready yet",
}


class VersionedStatic(StaticFiles):
    """The folder `static/` under an address that changes with its content, so that browsers may keep it for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Cache-Control"] = f"public, max-age={ONE_YEAR}, immutable"
        return response


@cache
def static_root() -> str:
    """Return the path under which `static/` is mounted: `/static/` and a hash of everything in it."""
    digest = hashlib.sha256()
    for path in sorted(item for item in STATIC.rglob("*") if item.is_file()):
        digest.update(path.relative_to(STATIC).as_posix().encode())
        digest.update(path.read_bytes())
    return f"/static/{digest.hexdigest()[:12]}"


def static_app() -> VersionedStatic:
    """Return the ASGI app to mount at `static_root()`."""
    return VersionedStatic(directory=STATIC)


def static_url(path: str) -> str:
    """Return the address of a file of `static/`, such as `app.css`."""
    return f"{static_root()}/{path}"


def image_url(image: ImageView) -> str:
    """Return the address of the PNG."""
    return f"/images/{image.id}.png"


def thumbnail_url(image: ImageView) -> str:
    """Return the address of the small WebP."""
    return f"/images/{image.id}/thumbnail.webp"


def preview_url(job: JobView) -> str:
    """Return the address of the newest preview, another one each time that it changes."""
    return f"/jobs/{job.id}/preview.png?v={job.preview_version}"


def shared_image_url(token: str) -> str:
    """Return the address of the picture behind a share link."""
    return f"/s/{token}.png"


@pass_context
def absolute_url(context: Context, path: str) -> str:
    """Return `path` with the scheme and host that this request came by (link previews need whole addresses)."""
    request: Request = context["request"]
    return f"{str(request.base_url).rstrip('/')}{path}"


def iso(moment: datetime) -> str:
    """Return the moment in UTC as an HTML `datetime` value; a naive one is taken to be UTC already."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def plain_time(moment: datetime) -> str:
    """Return the moment as text, in UTC; a script says it in the reader's own time where there is one."""
    return iso(moment).replace("T", " ").replace("Z", " UTC")


def code_spans(text: str) -> Markup:
    """Return the text with what stands in `backticks` as code."""
    parts = [
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def percent(share: float) -> str:
    """Write a share, 0..1, in whole percent, as English does."""
    return f"{share:.0%}"


def number(value: float) -> str:
    """Return a number without a useless fraction: 7.5 stays, 3.0 becomes 3."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def file_size(count: int) -> str:
    """Return a number of bytes in the unit that people would say."""
    size, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.0f} {units[0]}" if size >= 10 or units[0] == "bytes" else f"{size:.1f} {units[0]}"


@cache
def environment() -> Environment:
    """Return the Jinja2 environment: everything escaped, an unknown name is an error."""
    jinja = Environment(
        loader=FileSystemLoader(TEMPLATES),
        bytecode_cache=CompiledTemplates(TEMPLATES, filters=Path(__file__)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters.update(
        iso=iso, plain_time=plain_time, number=number, percent=percent, file_size=file_size, code_spans=code_spans
    )
    jinja.globals.update(
        static_url=static_url,
        absolute_url=absolute_url,
        image_url=image_url,
        preview_url=preview_url,
        thumbnail_url=thumbnail_url,
        shared_image_url=shared_image_url,
        sampler_names={sampler: name.label for sampler, name in SAMPLERS.items()},
        scheduler_names={scheduler: name.label for scheduler, name in SCHEDULERS.items()},
    )
    return jinja


def is_fragment(request: Request) -> bool:
    """Say whether htmx asks, and for a part of the page."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Request-Type") != "full"


def fragment(request: Request, name: str, **context: Any) -> str:
    """Render one template to text."""
    return environment().get_template(name).render(request=request, **context)


def render(
    request: Request, name: str, *, part: str | None = None, status_code: int = 200, **context: Any
) -> HTMLResponse:
    """Answer with the page `name`, or under `HX-Request` with its fragment `part` if there is one."""
    chosen = part if part and is_fragment(request) else name
    return HTMLResponse(fragment(request, chosen, **context), status_code=status_code, headers={"Vary": "HX-Request"})


def render_error(
    request: Request, status: int, code: str, message: str, fields: Sequence[Mapping[str, str]] = ()
) -> str:
    """Return a designed error page; under `HX-Request` a notice that htmx puts where notices go, whoever asked."""
    return fragment(
        request,
        "_error.html" if is_fragment(request) else "error.html",
        status=status,
        heading=HEADINGS.get(status, "That did not work"),
        code=code,
        message=message,
        fields=fields,
    )


def render_job_card(request: Request, job: JobView) -> str:
    """Return `<article id="job-ID">`, the card of one job in its present state."""
    return fragment(request, "_job.html", job=job)


def render_jobs(request: Request, jobs: Sequence[JobView]) -> str:
    """Return `<section id="jobs">`, all cards newest first, or the designed empty state."""
    return fragment(request, "_jobs.html", jobs=jobs)


def partial(target: str, html: str) -> str:
    """Wrap a fragment so that htmx morphs it into the element with the id `target`, wherever that is on the page."""
    return f'<hx-partial hx-target="#{target}" hx-swap="outerMorph">{html}</hx-partial>'
