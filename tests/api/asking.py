"""Asking the server for pictures, as a program would."""

from __future__ import annotations

import time
from typing import Any, Protocol

PATIENCE_SECONDS = 20.0
SMALL = {"prompt": "mountains by the lake", "steps": 2, "width": 64, "height": 64}


class Browser(Protocol):
    """The part of an HTTP client, in this process or not, that the tests use."""

    def get(self, url: str) -> Any: ...

    def post(self, url: str, *, json: Any) -> Any: ...


def post(browser: Browser, **changes: Any) -> dict[str, Any]:
    """Ask for small pictures and return what the server accepted."""
    response = browser.post("/api/jobs", json={**SMALL, **changes})
    assert response.status_code == 202, response.text
    accepted: dict[str, Any] = response.json()
    return accepted


def wait_for(browser: Browser, job_id: str, *statuses: str) -> dict[str, Any]:
    """Return the job as soon as its status is one of `statuses`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        job: dict[str, Any] = browser.get(f"/api/jobs/{job_id}").json()
        if job["status"] in statuses:
            return job
        assert time.monotonic() < deadline, f"the job is still {job['status']}, not {' or '.join(statuses)}"
        time.sleep(0.01)


def finished(browser: Browser, **changes: Any) -> dict[str, Any]:
    """Have a small picture made and return its job."""
    return wait_for(browser, post(browser, **changes)["jobs"][0]["id"], "done")


def fields_of(answer: dict[str, Any]) -> set[str]:
    """Return the names of the fields that an error answer complains about."""
    return {field["field"] for field in answer["error"]["fields"]}
