"""Checkpoints, patterns, errors, and what holds for all templates and static files."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from app.web import dependencies
from app.web.templating import ROOT, STATIC, file_size, iso, number, static_root, static_url
from tests.api.asking import finished
from tests.app.fake_engine import FakeEngine

HTML = {"Accept": "text/html"}
HTMX = {"HX-Request": "true", "HX-Request-Type": "partial"}
TEMPLATES = sorted((ROOT / "templates").glob("*.html"))
VENDOR = STATIC / "vendor" / "htmx"


@pytest.mark.parametrize(
    ("state", "words"),
    [("ready", "Loaded"), ("loading", "Loading…"), ("available", "Not loaded yet"), ("failed", "torn in")],
)
def test_checkpoints_say_their_state(
    alice: TestClient, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, state: str, words: str
) -> None:
    engine.state, engine.error = state, "torn in two" if state == "failed" else None
    monkeypatch.setattr(dependencies, "STATUS_SECONDS", -1.0)
    page = alice.get("/checkpoints").text
    for fact in (words, "Few words", "128 × 128", "epsilon", "mountains, lake, cabin"):
        assert fact in page
    assert alice.get("/checkpoints", headers=HTMX).text.lstrip().startswith('<div id="checkpoints"')


def test_a_checkpoint_that_cannot_be_used_is_listed_with_the_reason(alice: TestClient) -> None:
    if (ROOT / "models" / "embedded" / "model_index.json").exists():
        pytest.skip("both checkpoints can be used here")
    assert "Cannot be used" in alice.get("/checkpoints").text


def test_patterns_show_every_state_of_a_card(alice: TestClient) -> None:
    page = alice.get("/patterns").text
    assert set(re.findall(r'class="card" data-state="([a-z]+)"', page)) == {
        *("queued", "running", "done", "failed", "cancelled")
    }


def test_errors_are_pages_for_people_and_notices_for_htmx(alice: TestClient) -> None:
    page = alice.get("/nowhere", headers=HTML)
    assert page.status_code == 404
    assert "<h1>Nothing is here</h1>" in page.text
    notice = alice.get("/images/nowhere", headers=HTMX)
    assert notice.status_code == 404
    assert notice.text.startswith('<hx-partial hx-target="#notices"')


def test_pages_say_that_they_are_there_to_who_asks_only_that(alice: TestClient) -> None:
    image_id = finished(alice)["image"]["id"]
    link = alice.post(f"/api/images/{image_id}/share", json={"show_recipe": False}).json()["url"]
    for path in ("/", "/images", f"/images/{image_id}", "/canvas", "/checkpoints", "/docs", urlsplit(link).path):
        answer = alice.head(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8"), path
    assert alice.head("/s/nothing").status_code == 404
    assert alice.head("/jobs").status_code == 405


@pytest.mark.parametrize("path", ["/jobs", "/prompt/check", "/images/some/delete"])
def test_another_site_cannot_post_forms(alice: TestClient, path: str) -> None:
    assert alice.post(path, data={"prompt": "x"}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_a_fragment_is_told_from_its_page_by_caches(alice: TestClient) -> None:
    assert alice.get("/images").headers["vary"] == "HX-Request"


def test_vendored_files_are_those_that_were_published() -> None:
    lines = [line.split() for line in (VENDOR / "SHA256SUMS").read_text().splitlines()]
    listed = {name: digest for digest, name in lines}
    assert set(listed) == {path.name for path in VENDOR.iterdir()} - {"SHA256SUMS", "README.md"}
    for name, digest in listed.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest


def test_static_files_may_be_kept_since_their_address_changes(alice: TestClient) -> None:
    response = alice.get(static_url("app.css"))
    assert response.status_code == 200
    assert "immutable" in response.headers["cache-control"]
    assert alice.get("/static/0/app.css").status_code == 404
    assert alice.get(f"{static_root()}/../pyproject.toml").status_code == 404


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.name))
def test_a_template_needs_nothing_that_the_security_policy_forbids(template: Path) -> None:
    text = template.read_text()
    for forbidden in ("<style", " style=", "hx-on", "js:", "javascript:", " onclick=", "https://", "http://"):
        assert forbidden not in text.replace("http://www.w3.org", "")
    assert not re.search(r"<script(?![^>]* src=)", text)
    assert not re.search(r"\| *safe", text) or template.name == "_icons.html"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.name))
def test_a_template_names_static_files_that_exist(template: Path) -> None:
    for name in re.findall(r"static_url\('([^']+)'\)", template.read_text()):
        assert (STATIC / name).is_file()


def test_every_script_is_loaded_and_every_import_is_there() -> None:
    scripts = {path.name for path in (STATIC / "js").glob("*.js")}
    imported = {
        name for path in (STATIC / "js").glob("*.js") for name in re.findall(r'"\./([\w-]+\.js)"', path.read_text())
    }
    named = {name for path in TEMPLATES for name in re.findall(r"static_url\('js/([\w-]+\.js)'\)", path.read_text())}
    assert imported | named == scripts


def test_numbers_are_said_shortly() -> None:
    assert [number(value) for value in (7.5, 3.0, 20)] == ["7.5", "3", "20"]
    assert [file_size(value) for value in (999, 1_500, 34_000_000)] == ["999 bytes", "1.5 kB", "34 MB"]


def test_moments_are_said_in_utc() -> None:
    moment = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    same = moment.astimezone(timezone(timedelta(hours=5)))
    assert iso(moment) == iso(same) == iso(moment.replace(tzinfo=None)) == "2026-11-21T09:30:00Z"
