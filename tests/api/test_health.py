"""What those who run the server ask it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app.services.errors import DatabaseBusy
from tests.api.asking import finished, post
from tests.app.fake_engine import FakeEngine


def _fail(*_: object) -> None:
    raise DatabaseBusy


def samples(client: TestClient) -> dict[str, float]:
    """Return each sample of /metrics under its name and labels."""
    text = client.get("/metrics").text
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_is_alive_whatever_else_is_not(
    alice: TestClient, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.generate.queue_counts", _fail)
    engine.kill()
    response = alice.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_it_is_ready_when_everything_is(alice: TestClient) -> None:
    response = alice.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"ready": True, "checks": {"database": "ok", "disk": "ok", "engine": "ok"}}


@pytest.mark.parametrize("state", ["loading", "failed"])
def test_it_is_not_ready_while_the_engine_is_not(alice: TestClient, engine: FakeEngine, state: str) -> None:
    engine.state = state
    response = alice.get("/readyz")
    assert (response.status_code, response.json()["checks"]["engine"]) == (503, state)


def test_it_is_not_ready_without_an_engine(alice: TestClient, engine: FakeEngine) -> None:
    engine.kill()
    response = alice.get("/readyz")
    assert (response.status_code, response.json()["checks"]["engine"]) == (503, "starting")


def test_it_is_not_ready_without_its_database(alice: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.generate.queue_counts", _fail)
    response = alice.get("/readyz")
    assert (response.status_code, response.json()["checks"]["database"]) == (503, "database_busy")


def test_it_is_not_ready_on_a_full_disk(alice: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.statvfs_result((4096, 4096, 100, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    response = alice.get("/readyz")
    assert (response.status_code, response.json()["checks"]["disk"]) == (503, "full")


def test_the_metrics_tell_of_queue_engine_and_requests(alice: TestClient, engine: FakeEngine) -> None:
    finished(alice, steps=3)
    engine.state = "loading"
    post(alice, count=4)
    told = samples(alice)
    assert told["mezzotint_queue_depth status=queued"] == 4
    assert told["mezzotint_unet_rows_total"] == 6
    assert told["mezzotint_unet_rows_per_call"] == 2
    assert told["mezzotint_unet_compiled_calls_total"] == 0
    assert told["mezzotint_compile state=off"] == 1
    assert told["mezzotint_unet_padding_rows_total"] == 3
    assert told["mezzotint_unet_call_seconds_bucket le=1.0"] == 4
    assert (told["mezzotint_unet_call_seconds_count"], told["mezzotint_unet_call_seconds_sum"]) == (5, 4.5)
    assert told["mezzotint_leases_lost_total"] == 0
    assert "mezzotint_step_seconds_total" in told
    assert told["mezzotint_http_requests_total method=POST route=/api/jobs status=202"] == 2
    assert told["mezzotint_http_requests_total method=GET route=/api/jobs/{job_id} status=200"] > 0


def test_addresses_without_a_route_are_counted_as_one(alice: TestClient) -> None:
    for number in range(3):
        alice.get(f"/scan-{number}.php")
    assert samples(alice)["mezzotint_http_requests_total method=GET route=other status=404"] == 3


def test_two_servers_in_one_process_do_not_mix_their_metrics(app: FastAPI, alice: TestClient, tmp_path: Path) -> None:
    from app.engine.client import EngineClient
    from app.main import create_app

    other = create_app(app.state.settings.model_copy(update={"data": tmp_path}), engine=EngineClient(tmp_path / "none"))
    alice.get("/healthz")
    with TestClient(other, base_url="http://localhost") as client:
        assert not any("route=/healthz" in name for name in samples(client))
