"""What the server refuses from other sites, and what it tells browsers about its answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.exposure import UnsafeBind, require_safe_bind
from app.settings import Settings
from app.web.security import host_name
from tests.api.asking import SMALL, finished

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost@evil.example", "", "192.168.1.7", "a/b"],
)
def test_it_refuses_foreign_host_names(alice: TestClient, host: str) -> None:
    response = alice.get("/api/images", headers={"host": host})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unknown_host")


@pytest.mark.parametrize("host", ["localhost:8000", "LOCALHOST", "127.0.0.1", "[::1]:8000"])
def test_it_answers_to_the_loopback_names(alice: TestClient, host: str) -> None:
    assert alice.get("/healthz", headers={"host": host}).status_code == 200


def test_it_answers_to_the_names_that_it_was_given(settings: Settings, build: Callable[[Settings], FastAPI]) -> None:
    app = build(settings.model_copy(update={"allowed_hosts": ["Pictures.example"]}))
    with TestClient(app, base_url="https://pictures.example") as client:
        assert client.get("/healthz").status_code == 200
        assert "Secure" in client.get("/api/images").headers["set-cookie"]


def test_a_public_server_also_answers_to_addresses(settings: Settings, build: Callable[[Settings], FastAPI]) -> None:
    app = build(settings.model_copy(update={"public": True, "host": "0.0.0.0"}))
    with TestClient(app, base_url="http://192.168.1.7:8000") as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/healthz", headers={"host": "evil.example"}).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8000"},
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:9000"},
        {"origin": "127.0.0.1:8000"},
    ],
)
def test_it_refuses_unsafe_requests_from_other_sites(alice: TestClient, headers: dict[str, str]) -> None:
    for method, url in (("POST", "/api/jobs"), ("DELETE", "/api/jobs/x"), ("POST", "/jobs")):
        response = alice.request(method, url, json=SMALL, headers=headers)
        assert response.status_code == 403
    assert 'queue_depth{status="queued"} 0.0' in alice.get("/metrics").text


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"origin": "http://127.0.0.1:8000"}, {}],
)
def test_it_takes_unsafe_requests_of_its_own_and_of_programs(alice: TestClient, headers: dict[str, str]) -> None:
    assert alice.post("/api/jobs", json=SMALL, headers=headers).status_code == 202


def test_other_sites_may_still_link_here(alice: TestClient) -> None:
    assert alice.get("/images", headers={"sec-fetch-site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/images", "/checkpoints", "/docs", "/nothing-here", "/s/nothing"])
def test_every_page_carries_the_policy(alice: TestClient, path: str) -> None:
    response = alice.get(path, headers={"accept": "text/html"})
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["content-security-policy"] == PAGE_POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "private, no-store"


def test_no_other_site_is_allowed_to_read_answers(alice: TestClient) -> None:
    response = alice.get("/api/images", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in response.headers
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert alice.options("/api/jobs", headers={"origin": "https://evil.example"}).status_code == 405


def test_a_prompt_is_never_markup(alice: TestClient) -> None:
    prompt = "<script>alert(1)</script><hx-partial hx-target='#jobs'>\"'>"
    image = finished(alice, prompt=prompt)["image"]
    for path in ("/", "/images", f"/images/{image['id']}"):
        page = alice.get(path).text
        assert "<script>alert" not in page
        assert "<hx-partial" not in page


def test_an_unexpected_fault_shows_nothing_of_itself(
    app: FastAPI, alice: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret of /srv/mezzotint")

    monkeypatch.setattr("app.services.gallery.page", broken)
    for accept in ("application/json", "text/html"):
        response = alice.get("/images" if "html" in accept else "/api/images", headers={"accept": accept})
        assert response.status_code == 500
        assert "secret" not in response.text
        assert "Traceback" not in response.text
        assert response.headers["x-request-id"]
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert app.state.streams.count == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "pictures.example"])
def test_an_address_that_others_reach_needs_the_flag(host: str) -> None:
    with pytest.raises(UnsafeBind, match="--public"):
        require_safe_bind(Settings(host=host))
    require_safe_bind(Settings(host=host, public=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_a_loopback_address_needs_no_flag(host: str) -> None:
    require_safe_bind(Settings(host=host))


@pytest.mark.parametrize(
    ("netloc", "name"),
    [("a.example:80", "a.example"), ("[::1]:8000", "::1"), ("a b", "a b"), ("u@a", ""), ("a/b", ""), ("a:x", "")],
)
def test_a_host_header_is_read_strictly(netloc: str, name: str) -> None:
    assert host_name(netloc) == name
