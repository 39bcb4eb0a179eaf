"""Who a program is: an API key's owner, or the local one; and what pages of other sites cannot do."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.testclient import TestClient

from app.cli import keys as command
from app.services import generate, keys
from app.services.store import Store
from app.settings import Settings
from app.web.caller import COOKIE, require_known
from tests.api.conftest import ADDRESS

ASKED = {"prompt": "a lake", "steps": 2, "width": 64, "height": 64}
OPENAI = {"prompt": "a lake", "size": "64x64", "steps": 2}
PROGRAM_ROUTES = ("/sdapi/v1/txt2img", "/v1/images/generations", "/internal/progress", "/sdapi/v1/options", "/inspect")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def store_of(client: TestClient) -> Store:
    store: Store = client.app.state.store  # type: ignore[attr-defined]
    return store


@contextmanager
def public(settings: Settings, build: Callable[[Settings], FastAPI]) -> Iterator[TestClient]:
    app = build(settings.model_copy(update={"public": True, "host": "0.0.0.0"}))
    with TestClient(app, base_url="http://192.168.1.7:8000") as client:
        yield client


def test_a_key_has_a_gallery_of_its_own_through_every_interface(alice: TestClient, charlie: TestClient) -> None:
    key, other = keys.create(store_of(alice), "mine"), keys.create(store_of(alice), "another")
    stranger = TestClient(alice.app, base_url=ADDRESS)
    for headers in (basic("me", key), basic(key, "")):
        assert stranger.post("/sdapi/v1/txt2img", json=ASKED, headers=headers).status_code == 200
    made = stranger.post("/v1/images/generations", json=OPENAI, headers=bearer(key))
    assert made.status_code == 200
    images = stranger.get("/api/images", headers=bearer(key)).json()["images"]
    assert len(images) == 3
    assert stranger.get(images[0]["url"], headers=bearer(key)).status_code == 200
    assert stranger.get(images[0]["url"], headers=bearer(other)).status_code == 404
    assert alice.get(images[0]["url"]).status_code == 404
    assert "set-cookie" not in stranger.get("/api/images", headers=bearer(key)).headers
    link = made.json()["data"][0]["url"]
    assert charlie.get(link).status_code == 200
    keys.revoke(store_of(alice), "mine")
    assert charlie.get(link).status_code == 404, "an address ends with its key"


def test_a_wrong_or_revoked_key_is_refused_in_the_dialects_shape(alice: TestClient) -> None:
    key = keys.create(store_of(alice), "mine")
    keys.revoke(store_of(alice), "mine")
    keys.create(store_of(alice), "valid")
    for wrong in (key, "mz_nothing"):
        sdapi = alice.get("/sdapi/v1/options", headers=basic("me", wrong))
        assert (sdapi.status_code, sdapi.headers["www-authenticate"][:5]) == (401, "Basic")
        assert "Authorization" in sdapi.json()["detail"]
        openai = alice.post("/v1/images/generations", json=OPENAI, headers=bearer(wrong))
        assert (openai.status_code, openai.json()["error"]["type"]) == (401, "authentication_error")
        ours = alice.get("/api/images", headers=bearer(wrong))
        assert (ours.status_code, ours.json()["error"]["code"]) == (401, "invalid_api_key")
    assert generate.queue_counts(store_of(alice)) == {"queued": 0, "running": 0}


def test_a_local_server_without_keys_takes_any(alice: TestClient) -> None:
    for headers in ({}, {"Authorization": ""}, bearer("sk-anything"), basic("user", "pass")):
        assert alice.get("/sdapi/v1/options", headers=headers).status_code == 200


def test_where_others_reach_the_server_a_key_is_demanded(
    settings: Settings, build: Callable[[Settings], FastAPI]
) -> None:
    with public(settings, build) as client:
        for method, url in (("GET", "/sdapi/v1/options"), ("GET", "/v1/models"), ("GET", "/api/images")):
            assert client.request(method, url).status_code == 401
        assert client.post("/sdapi/v1/txt2img", json=ASKED).status_code == 401
        key = keys.create(store_of(client), "mine")
        assert client.get("/v1/models", headers=bearer(key)).status_code == 200
        assert client.get("/api/images", headers=bearer(key)).status_code == 200
        assert client.get("/").status_code == 200
        assert client.get("/api/images").status_code == 200, "a page's cookie is enough for what pages use"
        assert client.get("/sdapi/v1/options").status_code == 401, "but not for programs"


def test_where_others_reach_the_server_a_forged_cookie_is_not_enough(
    settings: Settings, build: Callable[[Settings], FastAPI]
) -> None:
    with public(settings, build) as client:
        for forged in ("x", "a.b"):
            assert client.get("/api/images", headers={"cookie": f"{COOKIE}={forged}"}).status_code == 401


def test_each_address_of_our_own_interface_asks_who_calls(alice: TestClient) -> None:
    """Each router says so itself, so that one could forget it. A page's event stream needs its cookie anyway."""
    assert alice.get("/api/images").is_success, "so that routes are there which only programs need"
    routes = [route for route in alice.app.routes if isinstance(route, APIRoute)]  # type: ignore[attr-defined]
    ours = [route for route in routes if route.path.startswith("/api/")]
    assert len(ours) > 20
    open_ones = [route for route in ours if all(item.dependency is not require_known for item in route.dependencies)]
    assert [route.path for route in open_ones] == ["/api/events"]


def test_what_programs_make_without_a_key_is_seen_at_this_machine(
    alice: TestClient, settings: Settings, build: Callable[[Settings], FastAPI]
) -> None:
    alice.post("/sdapi/v1/txt2img", json=ASKED)
    assert "a lake" not in alice.get("/images?of=others").text
    page = alice.get("/images?of=programs").text
    assert "Programs on this machine" in page
    (job,) = generate.recent_jobs(store_of(alice), keys.LOCAL)
    assert job.image is not None
    for url in (f"/images/{job.image.id}", f"/images/{job.image.id}.webp", f"/?image={job.image.id}"):
        assert alice.get(url).status_code == 200
    with public(settings, build) as client:
        assert client.get(f"/images/{job.image.id}.png").status_code == 404
        assert "Programs" not in client.get("/images?of=programs").text


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://a.example"}, {"origin": "null"}]
)
def test_a_page_of_another_origin_cannot_make_the_browser_post(alice: TestClient, headers: dict[str, str]) -> None:
    for url in PROGRAM_ROUTES:
        for kind in ("application/json", "text/plain"):
            response = alice.post(url, content="{}", headers={**headers, "content-type": kind})
            assert response.status_code == 403, url
            assert "access-control-allow-origin" not in response.headers


def test_only_what_says_that_it_is_json_is_read_as_json(alice: TestClient) -> None:
    for url in ("/sdapi/v1/txt2img", "/v1/images/generations", "/v1/images/edits"):
        response = alice.post(url, content='{"prompt": "a lake"}', headers={"content-type": "text/plain"})
        assert response.status_code == 415
        assert "Content-Type" in response.text


def test_only_invited_origins_are_let_in_and_only_to_the_interfaces(
    settings: Settings, build: Callable[[Settings], FastAPI]
) -> None:
    app = build(settings.model_copy(update={"cors_origins": ["http://localhost:3000"]}))
    with TestClient(app, base_url=ADDRESS) as client:
        for origin, status in (("http://localhost:3000", 200), ("http://localhost:3001", 403)):
            headers = {"origin": origin, "sec-fetch-site": "cross-site"}
            assert client.post("/sdapi/v1/interrupt", headers=headers).status_code == status
        headers = {"origin": "http://localhost:3000", "sec-fetch-site": "cross-site"}
        assert client.post("/jobs", data=ASKED, headers=headers).status_code == 403
        answer = client.get("/sdapi/v1/options", headers=headers)
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
        assert "access-control-allow-credentials" not in answer.headers
        assert "access-control-allow-origin" not in client.get("/", headers=headers).headers


def test_an_invited_page_neither_uses_nor_changes_our_cookie(
    settings: Settings, build: Callable[[Settings], FastAPI]
) -> None:
    """A page at another port of our host is of the same site: the browser sends and takes cookies if asked to."""
    app = build(settings.model_copy(update={"cors_origins": ["http://127.0.0.1:3000"]}))
    with TestClient(app, base_url=ADDRESS) as client:
        assert client.get("/api/images").status_code == 200
        before = dict(client.cookies)
        for headers in ({"sec-fetch-site": "same-site"}, {}):
            headers = {"origin": "http://127.0.0.1:3000", **headers}
            asked = {name: (None, str(value)) for name, value in ASKED.items()}
            answer = client.post("/api/jobs", files=asked, headers=headers)
            assert answer.status_code == 202
            assert "set-cookie" not in answer.headers
            assert client.get(answer.json()["jobs"][0]["url"]).status_code == 404, "it is not the browser's"
        assert dict(client.cookies) == before
        own = client.post("/api/jobs", json=ASKED, headers={"origin": ADDRESS})
        assert client.get(own.json()["jobs"][0]["url"]).status_code == 200


@pytest.mark.parametrize("origin", ["*", "https://*.example", "pictures.example", "http://a.example/path"])
def test_an_origin_is_a_scheme_and_a_host(origin: str) -> None:
    with pytest.raises(ValidationError):
        Settings(cors_origins=[origin])


def test_a_key_is_shown_once_and_kept_as_a_hash(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(settings.data)]
    assert command.main(["create", "--name", "front end", *data]) == 0
    key = capsys.readouterr().out.strip()
    assert len(key) > 40
    assert command.main(["create", "--name", "front end", *data]) == 1
    assert command.main(["list", *data]) == 0
    listed = capsys.readouterr().out
    assert "front end" in listed
    assert key not in listed
    assert key.encode() not in b"".join(path.read_bytes() for path in settings.data.glob("mezzotint.sqlite3*"))
    assert command.main(["revoke", "front end", *data]) == 0
    assert command.main(["revoke", "front end", *data]) == 1
    assert command.main(["list", *data]) == 0
    assert "revoked" in capsys.readouterr().out
