"""Bodies that are too large or too slow are refused before they are kept."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from app.web import connections, limits

JSON = {"content-type": "application/json"}


def test_a_large_body_is_refused_by_its_length(alice: TestClient) -> None:
    response = alice.post("/api/canvases", content=b"x" * (limits.FORM.size + 1), headers=JSON)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


def test_a_large_body_without_a_length_is_refused_while_it_comes(alice: TestClient) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(64):
            sent += 2**16
            yield b" " * 2**16

    response = alice.post("/api/canvases", content=body(), headers=JSON)
    assert response.status_code == 413


def test_a_large_form_is_refused(alice: TestClient) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
    response = alice.post("/jobs", content=b"prompt=" + b"x" * limits.FORM.size, headers=headers)
    assert response.status_code == 413
    assert "<html" in response.text


@pytest.mark.parametrize(
    ("method", "path", "mebibytes"),
    [
        ("POST", "/api/jobs", 32),
        ("POST", "/api/images", 21),
        ("POST", "/canvas", 21),
        ("PUT", "/api/canvases/some-id/mask", 21),
        ("POST", "/api/images/some-id/share", 1),
        ("POST", "/jobs", 1),
        ("POST", "/api/canvases/some-id/mask", 1),
    ],
)
def test_only_routes_that_take_files_take_large_bodies(
    alice: TestClient, method: str, path: str, mebibytes: int
) -> None:
    limit = limits.body_limit(method, path)
    assert limit.size == mebibytes * 2**20
    response = alice.request(method, path, content=b"x", headers={**JSON, "content-length": str(limit.size + 1)})
    assert (response.status_code, f"{mebibytes} MiB" in response.text) == (413, True)


def _dial(address: str) -> socket.socket:
    parts = urlsplit(address)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def test_it_answers_a_large_body_before_it_has_come(live: str) -> None:
    with _dial(live) as connection:
        head = f"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {10**9}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode())
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()


def test_a_body_that_trickles_in_is_given_up(live: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FORM", limits.BodyLimit(limits.MIB, 0.3))
    began = time.monotonic()
    with _dial(live) as connection:
        connection.sendall(b"POST /api/canvases HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n")
        connection.sendall(b"Content-Type: application/json\r\n\r\n{")
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("asked_before", [False, True])
def test_a_connection_is_closed_whose_request_never_begins_in_earnest(
    live: str, monkeypatch: pytest.MonkeyPatch, asked_before: bool
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    with _dial(live) as connection:
        if asked_before:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(4096)
        connection.sendall(b"GET /healthz HT")
        assert connection.recv(4096) == b""


def test_a_connection_that_says_nothing_is_closed(live: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    with _dial(live) as connection:
        assert connection.recv(4096) == b""


def test_a_body_may_take_longer_than_a_head(live: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    with _dial(live) as connection:
        connection.sendall(b"POST /api/canvases HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n")
        connection.sendall(b"Content-Type: application/json\r\n\r\n{")
        time.sleep(0.3)
        connection.sendall(b"}")
        assert connection.recv(4096).startswith(b"HTTP/1.1 422")


def test_huge_headers_are_refused(live: str) -> None:
    with _dial(live) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n")
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 431")


def test_the_server_does_not_say_what_it_is(live: str) -> None:
    with _dial(live) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = connection.recv(4096).lower()
    assert b"\r\ndate: " in answer
    assert b"\r\nserver:" not in answer
