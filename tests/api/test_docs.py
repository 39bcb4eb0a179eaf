"""The reference of the API: complete, true, and readable without a network."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.web.pages.docs import TITLES, dialects
from models.recipe import Sampler

PROMISED = {
    "/api/jobs": {"post"},
    "/api/jobs/{job_id}": {"get", "delete"},
    "/api/events": {"get"},
    "/api/images": {"get"},
    "/api/images/{image_id}": {"get", "delete"},
    "/api/images/{image_id}/share": {"post"},
    "/api/shares/{token}": {"delete"},
    "/api/checkpoints": {"get"},
    "/images/{image_id}.png": {"get"},
    "/healthz": {"get"},
    "/readyz": {"get"},
    "/metrics": {"get"},
}


class Addresses(HTMLParser):
    """Collects what a page would fetch, and what the policy would not let it use."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.found += [value for name in ("src", "href") if (value := values.get(name))]
        if "style" in values or tag == "style" or (tag == "script" and "src" not in values):
            self.inline.append(tag)
        self.inline += [name for name in values if name.startswith("on")]


@pytest.fixture
def schema(alice: TestClient) -> dict[str, Any]:
    answer: dict[str, Any] = alice.get("/openapi.json").json()
    return answer


def test_the_schema_has_every_promised_operation(schema: dict[str, Any]) -> None:
    for path, methods in PROMISED.items():
        assert methods <= set(schema["paths"][path]), path


def test_every_operation_is_described_and_belongs_to_a_section(schema: dict[str, Any]) -> None:
    for methods in schema["paths"].values():
        for operation in methods.values():
            assert operation["tags"][0] in TITLES
            assert operation["description"]


def test_every_error_in_the_schema_has_our_shape(schema: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if status.startswith("4"):
                    content = answer["content"]["application/json"]
                    assert content["schema"]["$ref"].endswith("/ErrorAnswer"), (path, status)
                    assert content["example"]["error"]["code"]


def test_no_page_is_part_of_the_schema(schema: dict[str, Any]) -> None:
    assert not {"/", "/images", "/docs", "/events", "/jobs"} & set(schema["paths"])


def test_the_page_shows_every_operation_and_its_fields(alice: TestClient, schema: dict[str, Any]) -> None:
    page = alice.get("/docs").text
    for path, methods in schema["paths"].items():
        assert f"<code>{path}</code>" in page
        assert all(f'data-method="{method.upper()}"' in page for method in methods)
    for field in ("guidance_scale", "Idempotency-Key", "Last-Event-ID", "pixel_sha256", "show_recipe"):
        assert field.lower() in page.lower()
    assert all(sampler in page for sampler in Sampler)
    assert "-d &#39;{&#34;prompt&#34;: &#34;snowy mountains" in page
    assert "at most 150" in page


def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline(alice: TestClient) -> None:
    parser = Addresses()
    parser.feed(alice.get("/docs").text)
    assert parser.inline == []
    assert all(address.startswith(("/", "#")) and not address.startswith("//") for address in parser.found)
    for address in parser.found:
        if address.startswith("/static/"):
            assert alice.get(address).status_code == 200, address


def test_the_ids_on_the_page_are_unique(alice: TestClient) -> None:
    ids = re.findall(r'\sid="([^"]+)"', alice.get("/docs").text)
    assert len(ids) == len(set(ids))


def test_every_example_of_a_request_is_accepted(alice: TestClient, schema: dict[str, Any]) -> None:
    content = schema["paths"]["/api/jobs"]["post"]["requestBody"]["content"]["application/json"]
    examples = content.get("examples") or content["schema"]["examples"]
    assert len(examples) == 3
    for example in examples:
        assert alice.post("/api/jobs", json={**example, "steps": 1}).status_code == 202


def test_the_page_lists_the_interfaces_of_others_route_by_route(alice: TestClient) -> None:
    listed = {(dialect.id, address): text for dialect in dialects() for address, text in dialect.routes}
    assert all(listed.values()), "each says what it does"
    page = alice.get("/docs").text
    for name, address in (
        ("a1111", "POST /sdapi/v1/txt2img"),
        ("a1111", "GET /sdapi/v1/options"),
        ("a1111", "POST /internal/progress"),
        ("openai", "POST /v1/images/edits"),
        ("openai", "GET /v1/models/{model}"),
    ):
        assert (name, address) in listed
        assert f"<code>{address}</code>" in page
