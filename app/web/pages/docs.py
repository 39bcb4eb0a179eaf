"""`/docs`: the reference of the JSON API as a page of our own, made from the app's OpenAPI schema.

Swagger UI needs inline styles and scripts from elsewhere; this needs neither, works offline and reads well printed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.routing import APIRoute

from app.web import openai, sdapi
from app.web.templating import render

router = APIRouter(include_in_schema=False)

Schema = Mapping[str, Any]

TITLES = {
    "jobs": "Jobs",
    "events": "Events",
    "images": "Images",
    "canvases": "Canvases",
    "shares": "Share links",
    "checkpoints": "Checkpoints",
    "operation": "Operation",
}
JSON = "application/json"
HEADERS = {"idempotency-key": "Idempotency-Key", "if-match": "If-Match"}
LIMITS = (
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("multipleOf", "a multiple of {}"),
    ("minLength", "not shorter than {}"),
    ("maxLength", "at most {} characters"),
)


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a body."""

    name: str
    place: str
    type: str
    required: bool
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One status that an operation may answer with."""

    status: str
    text: str
    fields: tuple[Field, ...]
    example: str | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address."""

    id: str
    method: str
    path: str
    summary: str
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    command: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """The operations on one noun."""

    id: str
    title: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Dialect:
    """An interface of others that we speak: each address with what it does."""

    id: str
    title: str
    text: str
    routes: tuple[tuple[str, str], ...]


DIALECTS = (
    ("a1111", "A1111's interface", "Give clients this server's address.", sdapi.PARTS),
    ("openai", "OpenAI's interface", "Give clients this server's address with `/v1`.", openai.PARTS),
)


@router.api_route("/docs", methods=["GET", "HEAD"])
def docs(request: Request) -> HTMLResponse:
    """Show every operation of the API with its parameters, answers and an example to paste."""
    schema = request.app.openapi()
    sections = read_sections(schema, str(request.base_url).rstrip("/"))
    about = schema["info"]["description"]
    return render(request, "docs.html", current_page="/docs", sections=sections, about=about, dialects=dialects())


@router.get("/openapi.json")
def schema(request: Request) -> JSONResponse:
    """The API's schema for programs."""
    return JSONResponse(request.app.openapi())


def dialects() -> list[Dialect]:
    """The interfaces that are not in the schema, since their reference is their makers'."""
    return [Dialect(name, title, text, tuple(_spoken(parts))) for name, title, text, parts in DIALECTS]


def _spoken(parts: Sequence[APIRouter]) -> Iterator[tuple[str, str]]:
    for route in (route for part in parts for route in part.routes if isinstance(route, APIRoute)):
        for method in (route.methods or set()) - {"HEAD"}:
            yield f"{method} {route.path.replace(':path', '')}", route.description.split("\n\n")[0]


def read_sections(schema: Schema, base_url: str) -> list[Section]:
    """Turn an OpenAPI schema into what the page shows, in the order of `TITLES`."""
    found: dict[str, list[Operation]] = {tag: [] for tag in TITLES}
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append(_operation(schema, base_url, method.upper(), path, operation))
    return [Section(tag, TITLES[tag], tuple(operations)) for tag, operations in found.items() if operations]


def _operation(schema: Schema, base_url: str, method: str, path: str, operation: Schema) -> Operation:
    contents = operation.get("requestBody", {}).get("content", {})
    content = contents.get(JSON, {})
    return Operation(
        id=operation["operationId"],
        method=method,
        path=path,
        summary=operation.get("description", operation["summary"]),
        parameters=tuple(_parameter(schema, item) for item in operation.get("parameters", [])),
        body=tuple(_fields(schema, content.get("schema", {}))),
        command=_command(method, base_url + path, content, takes_file=bool(contents) and not content),
        answers=tuple(_answer(schema, status, answer) for status, answer in operation["responses"].items()),
    )


def _parameter(schema: Schema, item: Schema) -> Field:
    name = HEADERS.get(item["name"]) or str(item["name"])
    text = item.get("description", "")
    kind = _name(schema, _resolve(schema, item["schema"]))
    return Field(name, item["in"], kind, item.get("required", False), text)


def _answer(schema: Schema, status: str, answer: Schema) -> Answer:
    contents: Mapping[str, Schema] = answer.get("content", {})
    media_type = next(iter(contents), "")
    content = contents.get(media_type, {})
    is_ours = media_type == JSON and status.startswith("2")
    fields = tuple(_fields(schema, content.get("schema", {}))) if is_ours else ()
    example = content.get("example")
    if example is not None and not isinstance(example, str):
        example = json.dumps(example, indent=2, ensure_ascii=False)
    return Answer(status, answer["description"], fields, example)


def _resolve(schema: Schema, part: Schema) -> Schema:
    """Follow a reference, and see through "or null"."""
    if "$ref" in part:
        return _resolve(schema, schema["components"]["schemas"][part["$ref"].rpartition("/")[2]])
    choices = [choice for choice in part.get("anyOf", []) if choice.get("type") != "null"]
    return _resolve(schema, choices[0]) if choices else part


def _fields(schema: Schema, part: Schema) -> Iterator[Field]:
    whole = _resolve(schema, part)
    required = whole.get("required", [])
    for name, item in whole.get("properties", {}).items():
        yield Field(name, "body", _type(schema, item), name in required, _text(_resolve(schema, item), item))


def _type(schema: Schema, part: Schema) -> str:
    whole = _resolve(schema, part)
    is_optional = any(choice.get("type") == "null" for choice in part.get("anyOf", []))
    return _name(schema, whole) + (" or null" if is_optional else "")


def _name(schema: Schema, whole: Schema) -> str:
    if "enum" in whole:
        return " | ".join(str(value) for value in whole["enum"])
    if whole.get("type") == "array":
        return f"list of {_type(schema, whole.get('items', {}))}"
    if whole.get("type") == "object" and "title" in whole and "properties" in whole:
        return str(whole["title"])
    return str(whole.get("const", whole.get("type", "any")))


def _text(whole: Schema, part: Schema) -> str:
    """Say the limits and the default of a field in words, after its description."""
    limits = [words.format(_plain(whole[key])) for key, words in LIMITS if key in whole]
    default = part.get("default")
    if default is not None and default != "":
        limits.append(f"default {json.dumps(default)}")
    description = part.get("description", "")
    return " ".join(text for text in (description, ", ".join(limits)) if text)


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _command(method: str, url: str, content: Schema, *, takes_file: bool) -> str:
    """Return a curl command to paste; the cookie file is what makes the next command the same owner."""
    parts = ["curl", "-b cookies -c cookies"]
    if method != "GET":
        parts.append(f"-X {method}")
    if content:
        body: Any = next(iter(content["schema"].get("examples", [])), {})
        parts.append(f"-H 'Content-Type: {JSON}' -d {shlex.quote(json.dumps(body))}")
    if takes_file:
        parts.append("-F file=@picture.png")
    return " ".join([*parts, shlex.quote(url)])
