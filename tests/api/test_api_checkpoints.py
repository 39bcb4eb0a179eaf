"""`/api/checkpoints` and the page of the same: what there is, what is wrong with the rest, looking again."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.services.catalogue import Catalogue
from app.services.entries import Download
from app.settings import Settings
from app.web import dependencies
from app.web.checkpoints import _usable
from app.web.dependencies import EngineStatus
from app.web.pages.patterns import facts_of
from tests.api.conftest import ADDRESS
from tests.app.fake_engine import FakeEngine
from tests.app.storing import migrated

PAGE = {"Accept": "text/html"}


@pytest.fixture
def folder(tmp_path: Path, bare_checkpoint: Path) -> Path:
    shutil.copytree(bare_checkpoint, tmp_path / "models" / "portraits")
    noise = tmp_path / "models" / "<i>noise.safetensors"
    noise.write_bytes(bytes(100))
    os.utime(noise, (0, 0))
    return tmp_path / "models"


@pytest.fixture
def settings(tmp_path: Path, bare_checkpoint: Path, folder: Path) -> Settings:
    places = [folder, tmp_path / "missing"]
    return migrated(Settings(data=tmp_path / "data", checkpoint=str(bare_checkpoint), checkpoints=places))


@pytest.fixture(autouse=True)
def has_looked(alice: TestClient) -> None:
    alice.post("/api/checkpoints/rescan").raise_for_status()


def test_all_are_listed_with_what_one_has_to_know(alice: TestClient) -> None:
    answer = alice.get("/api/checkpoints").json()
    assert [item["name"] for item in answer["checkpoints"]] == ["bare", "embedded", "portraits"]
    bare, _embedded, portraits = answer["checkpoints"]
    assert (bare["is_default"], bare["state"], portraits["is_default"]) == (True, "ready", False)
    assert (portraits["state"], portraits["width"], portraits["prediction_type"]) == ("available", 128, "epsilon")
    assert portraits["defaults"]["steps"] == 6
    assert portraits["sha256"] is None


def test_those_that_cannot_be_used_are_named_with_the_reason_and_without_where_they_lie(
    alice: TestClient, tmp_path: Path
) -> None:
    answer = alice.get("/api/checkpoints")
    unusable = {item["name"]: item["message"] for item in answer.json()["unusable"]}
    assert set(unusable) == {"<i>noise", "missing"}
    assert unusable["missing"].startswith("missing is not there; create this folder")
    assert answer.json()["problems"] == list(unusable.values())
    assert str(tmp_path) not in answer.text


def test_what_a_trial_has_told_is_shown() -> None:
    catalogue = SimpleNamespace(
        checkpoints=lambda: [facts_of(name, prediction_type="unknown") for name in ("tried", "untried")],
        default=facts_of("tried"),
        hashing=lambda _name: None,
    )
    said = {"name": "tried", "state": "ready", "error": None, "prediction_type": "epsilon"}
    views = _usable(cast(Catalogue, catalogue), EngineStatus("ready", None, {"checkpoints": [said]}))
    assert [view.facts.prediction_type for view in views] == ["epsilon", "unknown"]


def test_a_job_of_a_found_one_has_its_defaults(alice: TestClient) -> None:
    group = alice.post("/api/jobs", json={"prompt": "a lake", "checkpoint": "portraits"}).json()
    recipe = alice.get(group["jobs"][0]["url"]).json()["recipe"]
    assert (recipe["checkpoint"], recipe["steps"], recipe["guidance_scale"]) == ("portraits", 6, 3.0)


def test_looking_again_finds_what_has_come(alice: TestClient, folder: Path, bare_checkpoint: Path) -> None:
    shutil.copytree(bare_checkpoint, folder / "late")
    assert "late" not in alice.get("/api/checkpoints").text
    names = [item["name"] for item in alice.post("/api/checkpoints/rescan").json()["checkpoints"]]
    assert names == ["bare", "embedded", "late", "portraits"]
    assert alice.get("/api/checkpoints/rescan").status_code in (404, 405)


def test_another_site_cannot_make_us_look(alice: TestClient) -> None:
    for path in ("/api/checkpoints/rescan", "/checkpoints/rescan"):
        assert alice.post(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_the_page_looks_again_with_and_without_a_script(alice: TestClient, folder: Path, bare_checkpoint: Path) -> None:
    shutil.copytree(bare_checkpoint, folder / "late")
    plain = alice.post("/checkpoints/rescan", headers=PAGE, follow_redirects=False)
    assert (plain.status_code, plain.headers["location"]) == (303, "/checkpoints")
    part = alice.post("/checkpoints/rescan", headers={"HX-Request": "true"})
    assert part.text.lstrip().startswith('<div id="checkpoints"')
    assert 'href="/?checkpoint=late"' in part.text


def test_the_page_says_what_is_wrong_and_runs_no_name(alice: TestClient) -> None:
    page = alice.get("/checkpoints", headers=PAGE).text
    assert "Cannot be used" in page
    assert "&lt;i&gt;noise.safetensors is " in page
    assert "<i>noise" not in page


def test_the_page_says_how_a_pickle_is_converted_as_one_has_to_type_it(
    alice: TestClient, folder: Path, settings: Settings, build: Callable[[Settings], FastAPI]
) -> None:
    (folder / "my old.ckpt").write_bytes(b"PK\x03\x04" + bytes(64))
    page = alice.post("/checkpoints/rescan", headers={"HX-Request": "true"}).text
    command = f"<code>python3 -m app checkpoints convert '{folder / 'my old.ckpt'}'</code>"
    assert command in page.replace("&#39;", "'")
    answer = alice.get("/api/checkpoints")
    assert "python3 -m app checkpoints convert 'my old.ckpt'" in [text[-48:] for text in answer.json()["problems"]]
    assert str(folder) not in answer.text
    with TestClient(build(settings.model_copy(update={"public": True})), base_url=ADDRESS) as stranger:
        stranger.post("/api/checkpoints/rescan")
        page = stranger.get("/checkpoints", headers=PAGE).text
    assert "convert &#39;my old.ckpt&#39;" in page
    assert str(folder) not in page


def test_the_page_says_where_to_put_files_where_visitors_may_know(
    alice: TestClient, settings: Settings, build: Callable[[Settings], FastAPI]
) -> None:
    assert str(settings.own_checkpoints) in alice.get("/checkpoints", headers=PAGE).text
    public = settings.model_copy(update={"public": True})
    with TestClient(build(public), base_url=ADDRESS) as stranger:
        page = stranger.get("/checkpoints", headers=PAGE).text
    assert str(settings.data) not in page
    assert "Add your own" in page


def test_the_studio_offers_the_one_that_was_chosen(alice: TestClient) -> None:
    page = alice.get("/?checkpoint=portraits", headers=PAGE).text
    assert '<option value="portraits" selected>' in page


@pytest.fixture
def lost(settings: Settings, build: Callable[[Settings], FastAPI], tmp_path: Path) -> Iterator[TestClient]:
    """A server whose default checkpoint is not there."""
    with TestClient(build(settings.model_copy(update={"checkpoint": str(tmp_path / "gone")})), base_url=ADDRESS) as it:
        yield it


def test_a_server_without_its_default_goes_on_with_the_others(lost: TestClient) -> None:
    lost.post("/api/checkpoints/rescan")
    assert lost.get("/", headers=PAGE).status_code == 200
    assert lost.post("/api/jobs", json={"prompt": "a lake", "checkpoint": "portraits"}).status_code == 202
    refused = lost.post("/api/jobs", json={"prompt": "a lake"})
    assert refused.status_code == 503
    assert "gone is not there" in refused.json()["error"]["message"]
    assert "gone" in {item["name"] for item in lost.get("/api/checkpoints").json()["unusable"]}


def test_downloads_are_shown_with_their_progress(alice: TestClient, app: FastAPI, engine: FakeEngine) -> None:
    assert engine.state == "ready"
    app.state.catalogue._downloader._report = Download("some/one", "running", 1_000_000, 4_000_000)
    (download,) = alice.get("/api/checkpoints").json()["downloads"]
    assert (download["done_bytes"], download["total_bytes"], download["state"]) == (1_000_000, 4_000_000, "running")
    for page in ("/", "/checkpoints", "/engine"):
        assert "Downloading some/one" in alice.get(page, headers=PAGE).text
        assert "1.0 MB of 4.0 MB" in alice.get(page, headers=PAGE).text


@pytest.mark.parametrize(
    ("state", "hashing", "asks"), [("ready", None, None), ("loading", None, "every 1s"), ("ready", 0.5, "every 3s")]
)
def test_the_page_asks_again_while_anything_changes(
    alice: TestClient,
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    hashing: float | None,
    asks: str | None,
) -> None:
    monkeypatch.setattr(dependencies, "STATUS_SECONDS", -1.0)
    monkeypatch.setattr(Catalogue, "hashing", lambda catalogue, name: hashing)  # noqa: ARG005
    engine.state = state
    page = alice.get("/checkpoints", headers=PAGE).text
    assert re.findall(r'hx-trigger="(every \ds)"', page) == ([asks] if asks else [])


def test_one_that_could_not_be_loaded_is_not_offered_until_its_files_change(
    alice: TestClient, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependencies, "STATUS_SECONDS", -1.0)
    engine.checkpoints, engine.state, engine.error = ("portraits",), "failed", "portraits/unet is bad; take another"
    page = alice.get("/checkpoints", headers=PAGE).text
    assert 'href="/?checkpoint=bare"' in page
    assert 'href="/?checkpoint=portraits"' not in page
    assert "portraits/unet is bad; take another" in page
    assert "It is tried again once its files have changed" in page

    form = alice.get("/", headers=PAGE).text
    assert re.findall(r'<option value="(\w+)" disabled>', form) == ["portraits"]
    assert "portraits could not be loaded. portraits/unet is bad; take another" in form
    chosen = alice.get("/?checkpoint=portraits", headers=PAGE).text
    assert '<option value="portraits" selected>' in chosen
    assert '<p class="fault" id="checkpoint-fault">portraits/unet is bad; take another</p>' in chosen
