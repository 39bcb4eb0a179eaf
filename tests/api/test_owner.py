"""The cookie that tells browsers apart."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.settings import Settings
from app.web.owner import COOKIE, OwnerCookies
from tests.api.asking import post
from tests.api.conftest import ADDRESS

DAY_SECONDS = 86_400


def test_the_first_answer_sets_a_cookie_that_scripts_cannot_read(alice: TestClient) -> None:
    cookie = alice.get("/").headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert "Path=/" in cookie
    assert "Secure" not in cookie, "plain http on this machine"
    assert "set-cookie" not in alice.get("/").headers


def test_an_error_answer_sets_it_too(alice: TestClient) -> None:
    assert "set-cookie" in alice.get("/api/jobs/nonsense").headers


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/s/nothing", "/s/nothing.png"])
def test_what_needs_no_owner_sets_none(alice: TestClient, path: str) -> None:
    assert "set-cookie" not in alice.get(path).headers


def test_a_forged_cookie_is_nobody(alice: TestClient) -> None:
    url = post(alice)["jobs"][0]["url"]
    genuine = alice.cookies[COOKIE]
    signed = genuine[:-8] + ("A" if genuine[-8] != "A" else "B") + genuine[-7:]  # the last character has unused bits
    for forged in (signed, "x", "a.b", genuine.partition(".")[0]):
        stranger = TestClient(alice.app, base_url=ADDRESS, cookies={COOKIE: forged})
        response = stranger.get(url)
        assert response.status_code == 404
        assert "set-cookie" in response.headers


def test_an_owner_outlives_a_restart(settings: Settings, build: Callable[[Settings], FastAPI]) -> None:
    with TestClient(build(settings), base_url=ADDRESS) as before:
        url = post(before)["jobs"][0]["url"]
        cookies = dict(before.cookies)
    with TestClient(build(settings), base_url=ADDRESS, cookies=cookies) as after:
        assert after.get(url).status_code == 200


def test_an_old_cookie_is_renewed_for_the_same_owner(alice: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    url = post(alice)["jobs"][0]["url"]
    later = time.time() + 40 * DAY_SECONDS
    monkeypatch.setattr("app.web.owner.time.time", lambda: later)
    assert "set-cookie" in alice.get(url).headers
    monkeypatch.undo()
    assert alice.get(url).status_code == 200, "a clock that was set back does not log anybody out"


def test_the_key_is_ours_alone_and_stays(tmp_path: Path) -> None:
    value = OwnerCookies(tmp_path / "data").write("alice", 1)
    key = tmp_path / "data" / "owner.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert OwnerCookies(tmp_path / "data").read(value) == ("alice", 1)
    assert OwnerCookies(tmp_path / "other").read(value) is None


def test_processes_that_start_together_agree_on_the_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        values = set(threads.map(lambda _: OwnerCookies(tmp_path).write("alice", 1), range(16)))
    assert len(values) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["owner.key"]
