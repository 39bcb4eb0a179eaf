"""Whole processes, killed at work: every picture is made, once, and is the same as without the trouble."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from app.cli import generate, local_server
from app.cli.local_server import LocalServer, children, post, wait
from models.pixels import pixel_sha256
from tests.api.picturing import file, mask

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds child processes in /proc")
PROMPT = "mountains by the lake at sunset"
STEPS = 20


def ask(client: httpx2.Client, count: int) -> list[str]:
    return post(client, prompt=PROMPT, seed=100, steps=STEPS, count=count)


def ask_for_edit(client: httpx2.Client) -> list[str]:
    """Ask for a picture in which a part of an uploaded one is repainted, and which goes on to its left."""
    files = {"image": ("a.png", file((128, 128))), "mask": ("m.png", mask((128, 128)))}
    data = {"prompt": PROMPT, "seed": "3", "steps": str(STEPS), "strength": "0.9", "frame": "-64,0,192,128"}
    return [job["id"] for job in client.post("/api/jobs", data=data, files=files).raise_for_status().json()["jobs"]]


def edited_by_command(folder: Path, checkpoint: Path) -> str:
    """Return the hash of the pixels that the command makes of the same."""
    (folder / "a.png").write_bytes(file((128, 128)))
    (folder / "m.png").write_bytes(mask((128, 128)))
    flags = ["--seed=3", f"--steps={STEPS}", "--strength=0.9", "--outpaint=left=64", f"--checkpoint={checkpoint}"]
    paths = [f"--image={folder / 'a.png'}", f"--mask={folder / 'm.png'}", f"--output={folder / 'edit.png'}"]
    assert generate.main([PROMPT, *flags, *paths, "--quiet"]) == 0
    with Image.open(folder / "edit.png") as image:
        return pixel_sha256(image.tobytes(), *image.size)


def hashes(jobs: list[dict[str, Any]]) -> list[str]:
    return [job["image"]["pixel_sha256"] for job in jobs]


def wait_for_four_at_work(client: httpx2.Client, ids: list[str]) -> None:
    wait(client, ids[:4], until=("running",))
    while any(client.get(f"/api/jobs/{name}").json()["step"] < 2 for name in ids[:4]):
        time.sleep(0.02)  # soon: the pictures are small, and are to be caught unfinished


def images(client: httpx2.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/images").raise_for_status().json()["images"]
    return found


@pytest.fixture(autouse=True, scope="module")
def patience() -> Iterator[None]:
    """Ask less often: over a minute of waiting, asking takes more of the processor than the pictures do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_server, "POLL_SECONDS", 0.1)
        yield


@pytest.fixture(scope="module")
def undisturbed(server: LocalServer) -> list[str]:
    """What the pixels of eight pictures are when nothing is killed."""
    with server.client() as client:
        return hashes(wait(client, ask(client, 8)))


def test_a_killed_engine_costs_only_time(
    server: LocalServer, undisturbed: list[str], tmp_path: Path, tiny_checkpoint: Path
) -> None:
    with server.client() as client:
        ids = ask(client, 4)
        wait_for_four_at_work(client, ids)
        (engine,) = children(server.pid)
        os.kill(engine, signal.SIGKILL)
        jobs = wait(client, ids)
        assert all(job["attempt"] == 2 for job in jobs)
        assert hashes(jobs) == undisturbed[:4]
        assert len(images(client)) == 4
    alone = tmp_path / "alone.png"
    flags = ["--seed=100", f"--steps={STEPS}", f"--checkpoint={tiny_checkpoint}", f"--output={alone}", "--quiet"]
    assert generate.main([PROMPT, *flags]) == 0
    with Image.open(alone) as image:
        assert pixel_sha256(image.tobytes(), *image.size) == undisturbed[0], "the command makes the server's pixels"


def test_a_killed_server_loses_nothing(
    server: LocalServer, undisturbed: list[str], tmp_path: Path, tiny_checkpoint: Path
) -> None:
    with server.client() as client:
        ids = ask(client, 8)
        wait_for_four_at_work(client, ids)
        edit = ask_for_edit(client)
        server.kill()
        server.start()
        client.base_url = server.url
        jobs, edits = wait(client, ids), wait(client, edit)
        assert sorted(image["id"] for image in images(client)) == sorted(job["image"]["id"] for job in [*jobs, *edits])
        assert hashes(edits) == [edited_by_command(tmp_path, tiny_checkpoint)]
        assert hashes(jobs) == undisturbed
