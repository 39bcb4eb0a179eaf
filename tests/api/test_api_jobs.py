"""`/api/jobs`: what is accepted, what is refused and why, and who may look."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from models.recipe import MAX_SEED, Recipe
from tests.api.asking import SMALL, fields_of, finished, post, wait_for
from tests.app.fake_engine import FakeEngine, pixel_sha256

JOB_FIELDS = {"id", "status", "step", "steps", "position", "attempt", "recipe", "image", "error"}
JSON = {"content-type": "application/json"}


def test_it_makes_one_job_for_each_image(alice: TestClient) -> None:
    accepted = post(alice, count=3, seed=40)
    assert set(accepted) == {"group", "jobs"}
    assert [job["seed"] for job in accepted["jobs"]] == [40, 41, 42]
    assert {job["status"] for job in accepted["jobs"]} == {"queued"}
    assert accepted["jobs"][0]["url"] == f"/api/jobs/{accepted['jobs'][0]['id']}"


def test_it_fills_in_what_the_checkpoint_gives_and_draws_a_seed(alice: TestClient) -> None:
    response = alice.post("/api/jobs", json={"prompt": "a lake", "seed": -1})
    recipe = alice.get(response.json()["jobs"][0]["url"]).json()["recipe"]
    assert (recipe["steps"], recipe["guidance_scale"], recipe["width"]) == (6, 3.0, 128)
    assert recipe["seed"] >= 0


def test_it_finishes_with_the_pixels_that_the_engine_made(alice: TestClient) -> None:
    job = finished(alice, seed=7, steps=3)
    assert set(job) == JOB_FIELDS
    assert set(job["image"]) == {"id", "url", "width", "height", "pixel_sha256", "match"}
    assert job["image"]["pixel_sha256"] == pixel_sha256(Recipe.model_validate(job["recipe"]))
    assert (job["step"], job["steps"], job["attempt"], job["position"], job["error"]) == (3, 3, 1, None, None)
    assert alice.get(job["image"]["url"]).headers["content-type"] == "image/png"


def test_it_counts_who_comes_before(alice: TestClient, engine: FakeEngine) -> None:
    engine.state = "loading"
    jobs = post(alice, count=3)["jobs"]
    assert [alice.get(job["url"]).json()["position"] for job in jobs] == [1, 2, 3]


def test_it_reports_how_a_job_failed(alice: TestClient, engine: FakeEngine) -> None:
    engine.fail_with = {"code": "numerical", "message": "The picture has no number in it."}
    job = wait_for(alice, post(alice)["jobs"][0]["id"], "failed")
    assert job["error"] == {"code": "numerical", "message": "The picture has no number in it."}
    assert job["image"] is None


def test_it_cancels_a_running_job(alice: TestClient, engine: FakeEngine) -> None:
    engine.step_delay = 0.1
    job_id = post(alice, steps=100)["jobs"][0]["id"]
    wait_for(alice, job_id, "running")
    response = alice.delete(f"/api/jobs/{job_id}")
    assert response.status_code == 200
    assert set(response.json()) == JOB_FIELDS
    assert wait_for(alice, job_id, "cancelled")["image"] is None


def test_it_leaves_a_finished_job_alone_when_told_to_cancel(alice: TestClient) -> None:
    job = finished(alice)
    response = alice.delete(f"/api/jobs/{job['id']}")
    assert (response.status_code, response.json()["status"]) == (200, "done")


def test_a_failed_job_is_tried_again_and_a_finished_one_is_not(
    alice: TestClient, charlie: TestClient, engine: FakeEngine
) -> None:
    engine.fail_with = {"code": "nan", "message": "The picture came out empty."}
    job_id = post(alice)["jobs"][0]["id"]
    failed = wait_for(alice, job_id, "failed")
    engine.fail_with = None
    assert charlie.post(f"/api/jobs/{job_id}/retry").status_code == 404
    assert alice.post(f"/api/jobs/{job_id}/retry").json()["id"] == job_id
    done = wait_for(alice, job_id, "done")
    assert done["recipe"] == failed["recipe"]
    refused = alice.post(f"/api/jobs/{job_id}/retry")
    assert (refused.status_code, "done" in refused.json()["error"]["message"]) == (409, True)


def test_it_hides_jobs_from_a_stranger(alice: TestClient, charlie: TestClient, engine: FakeEngine) -> None:
    engine.state = "loading"
    url = post(alice)["jobs"][0]["url"]
    assert charlie.get(url).status_code == charlie.delete(url).status_code == 404
    assert alice.get(url).json()["status"] == "queued"


def test_it_says_404_in_json_for_a_job_that_never_was(alice: TestClient) -> None:
    response = alice.get("/api/jobs/nonsense", headers={"accept": "text/html"})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


def test_it_rejects_other_methods(alice: TestClient) -> None:
    response = alice.put("/api/jobs", json=SMALL)
    assert (response.status_code, response.json()["error"]["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_samplers_go_by_the_names_of_other_programs_and_are_answered_by_ours(alice: TestClient) -> None:
    asked = {
        "prompt": "a lake",
        "sampler": "DPM++ 2M Karras",
        "subseed": 9,
        "subseed_strength": 0.5,
        "seed": 7,
        "count": 2,
    }
    jobs = [alice.get(job["url"]).json()["recipe"] for job in alice.post("/api/jobs", json=asked).json()["jobs"]]
    assert [(job["sampler"], job["scheduler"]) for job in jobs] == [("dpmpp_2m", "karras")] * 2
    assert [(job["seed"], job["subseed"]) for job in jobs] == [(7, 9), (7, 10)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"guidance_start": 0.5, "guidance_end": 0.5}, "guidance_start"),
        ({"guidance_end": 1.5}, "guidance_end"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "  \n"}, "prompt"),
        ({"prompt": "x" * 10_000}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"negative_prompt": "x" * 10_000}, "negative_prompt"),
        ({"steps": 0}, "steps"),
        ({"steps": 10_000}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"steps": True}, "steps"),
        ({"guidance_scale": 0.5}, "guidance_scale"),
        ({"guidance_scale": "7.5"}, "guidance_scale"),
        ({"eta": 2}, "eta"),
        ({"seed": "7"}, "seed"),
        ({"seed": -2}, "seed"),
        ({"seed": MAX_SEED + 1}, "seed"),
        ({"seed": MAX_SEED, "count": 2}, "seed"),
        ({"width": 100}, "width"),
        ({"width": 4096}, "width"),
        ({"height": 8}, "height"),
        ({"width": 2048, "height": 2056}, "height"),
        ({"count": 0}, "count"),
        ({"count": 9}, "count"),
        ({"sampler": "karras"}, "sampler"),
        ({"sampler": 3}, "sampler"),
        ({"checkpoint": "nobody"}, "checkpoint"),
        ({"checkpoint": "../../etc/passwd"}, "checkpoint"),
        ({"stpes": 20}, "stpes"),
    ],
)
def test_it_names_the_field_that_is_wrong(alice: TestClient, changes: dict[str, object], field: str) -> None:
    response = alice.post("/api/jobs", json={**SMALL, **changes})
    assert response.status_code == 422
    assert fields_of(response.json()) == {field}
    assert 'queue_depth{status="queued"} 0.0' in alice.get("/metrics").text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"prompt": "a lake", "steps": NaN}', "steps"),
        (b'{"prompt": "a lake", "guidance_scale": Infinity}', "guidance_scale"),
        (b'{"prompt": "a lake", "eta": -Infinity}', "eta"),
        (b'{"prompt": "a lake", "seed": 1e400}', "seed"),
        (b'{"prompt": "a lake", "seed": ' + b"9" * 10_000 + b"}", "body"),
        (b'{"prompt": "a lake",', "body"),
        (b"[" * 100_000, "body"),
        (b'{"prompt": "\xff\xfe"}', "body"),
        (b"", "body"),
        (b"[]", "body"),
        (b'"a lake"', "body"),
        (b"{}", "prompt"),
    ],
)
def test_it_names_what_is_wrong_with_raw_json(alice: TestClient, body: bytes, field: str) -> None:
    response = alice.post("/api/jobs", content=body, headers=JSON)
    assert response.status_code == 422
    assert fields_of(response.json()) == {field}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_it_takes_nothing_but_json(alice: TestClient, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    response = alice.post("/api/jobs", content=b'{"prompt": "a lake"}', headers=headers)
    assert (response.status_code, fields_of(response.json())) == (415, {"Content-Type"})


def test_the_same_key_and_body_make_the_same_job(alice: TestClient) -> None:
    first = alice.post("/api/jobs", json=SMALL, headers={"Idempotency-Key": "k1"})
    again = alice.post("/api/jobs", json=SMALL, headers={"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (202, 200)
    assert [job["id"] for job in first.json()["jobs"]] == [job["id"] for job in again.json()["jobs"]]


def test_the_same_key_with_another_body_is_refused(alice: TestClient) -> None:
    alice.post("/api/jobs", json=SMALL, headers={"Idempotency-Key": "k1"})
    response = alice.post("/api/jobs", json={**SMALL, "steps": 4}, headers={"Idempotency-Key": "k1"})
    assert (response.status_code, fields_of(response.json())) == (422, {"Idempotency-Key"})


def test_one_key_used_by_many_at_once_makes_one_job(alice: TestClient) -> None:
    alice.get("/api/images")  # for the cookie, which all of them send

    def ask(_: int) -> str:
        response = alice.post("/api/jobs", json=SMALL, headers={"Idempotency-Key": "k1"})
        return str(response.json()["group"])

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(ask, range(16)))) == 1


def test_a_key_that_is_too_long_is_refused(alice: TestClient) -> None:
    response = alice.post("/api/jobs", json=SMALL, headers={"Idempotency-Key": "k" * 300})
    assert (response.status_code, fields_of(response.json())) == (422, {"Idempotency-Key"})


def test_it_says_when_to_come_back_once_too_many_wait(
    alice: TestClient, charlie: TestClient, engine: FakeEngine, settings: Settings
) -> None:
    engine.state = "loading"
    for _ in range(settings.max_pending // 4):
        post(alice, count=4)
    response = alice.post("/api/jobs", json=SMALL)
    assert (response.status_code, response.json()["error"]["code"]) == (429, "too_many")
    assert int(response.headers["retry-after"]) > 0
    assert len(post(charlie)["jobs"]) == 1
