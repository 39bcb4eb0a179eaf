"""What is done to a canvas over the API, as a page would."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from tests.api.asking import wait_for

PNG = {"content-type": "image/png"}


def created(browser: TestClient, image_id: str) -> dict[str, Any]:
    answer = browser.post("/api/canvases", json={"image_id": image_id})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def state(browser: TestClient, canvas: dict[str, Any]) -> dict[str, Any]:
    answer = browser.get(f"/api/canvases/{canvas['id']}")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    assert answer.headers["etag"] == f'"{found["version"]}"'
    return found


def act(browser: TestClient, canvas: dict[str, Any], action: str, **body: Any) -> dict[str, Any]:
    answer = browser.post(f"/api/canvases/{canvas['id']}/{action}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def put_mask(browser: TestClient, canvas: dict[str, Any], content: bytes, **headers: str) -> Any:
    return browser.put(f"/api/canvases/{canvas['id']}/mask", content=content, headers={**PNG, **headers})


def candidates(browser: TestClient, canvas: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """Have candidates made and return their jobs."""
    body = {"prompt": "a lake", "steps": 2, **fields}
    answer = browser.post(f"/api/canvases/{canvas['id']}/candidates", json=body)
    assert answer.status_code == 202, answer.text
    return [wait_for(browser, job["id"], "done", "failed") for job in answer.json()["jobs"]]
