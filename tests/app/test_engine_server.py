"""A real engine process with a small checkpoint, reached through its socket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
from PIL import Image

from app.engine.address import address
from app.engine.client import EngineClient, EngineRefused, EngineUnavailable
from models.checkpoint.loading import load
from models.jobs import job_of, txt2img
from models.pixels import decode_png, pixel_sha256, to_rgb_bytes
from models.recipe import Recipe
from models.run import run as run_alone

PATIENCE = 90.0  # seconds; importing torch and transformers takes long on a busy machine

Result = TypeVar("Result")


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


def recipe(**fields: Any) -> Recipe:
    given = {"prompt": "mountains by the lake", "seed": 7, "width": 128, "height": 128, "steps": 4}
    return Recipe.model_validate({**given, "checkpoint": "tiny", **fields})


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not await reached():
        assert time.monotonic() < deadline, "that was never reached"
        await asyncio.sleep(0.02)


@dataclass
class RunningEngine:
    process: subprocess.Popen[bytes]
    client: EngineClient
    first_status: dict[str, Any]

    async def events(self, wanted: Recipe) -> list[dict[str, Any]]:
        return [event async for event in self.client.generate(wanted)]

    async def is_state(self, state: str) -> bool:
        return bool((await self.client.status())["state"] == state)


def start(folder: Path, *arguments: str) -> RunningEngine:
    socket = folder / "engine.sock"
    command = [sys.executable, "-m", "app.engine.server", "--socket", str(socket), "--stop-with-stdin", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    client = EngineClient(socket)

    async def first_status() -> dict[str, Any]:
        while True:
            try:
                return await client.status()
            except EngineUnavailable:
                assert process.poll() is None, "the engine ended at its start"
                await asyncio.sleep(0.01)

    return RunningEngine(process, client, run(first_status()))


def end(engine: RunningEngine) -> None:
    engine.process.kill()
    engine.process.wait()
    assert engine.process.stdin is not None
    engine.process.stdin.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@pytest.fixture(scope="module")
def engine(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    folder = tmp_path_factory.mktemp("engine")
    broken = folder / "broken"
    shutil.copytree(tiny_checkpoint, broken)
    weights = broken / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    running = start(folder, "--checkpoint", str(tiny_checkpoint), "--checkpoint", f"cracked={broken}")
    run(until(lambda: running.is_state("ready")))
    yield running
    end(running)


def test_it_answers_before_torch_is_there(engine: RunningEngine) -> None:
    assert engine.first_status["state"] == "loading"
    assert engine.first_status["torch"] is None
    ready = run(engine.client.status())
    assert (ready["device"], ready["dtype"]) == ("cpu", "float32")
    assert [entry["name"] for entry in ready["checkpoints"]] == ["tiny", "cracked", "embedded"]


def test_a_picture_equals_the_one_made_in_one_process(engine: RunningEngine, tiny_checkpoint: Path) -> None:
    events = run(engine.events(recipe()))
    assert [event["event"] for event in events] == ["started", *["progress"] * 4, "image"]
    assert [event["step"] for event in events[1:-1]] == [1, 2, 3, 4]
    assert base64.b64decode(events[1]["preview"]).startswith(b"\x89PNG")
    bundle = load(tiny_checkpoint)
    rgb = to_rgb_bytes(run_alone(txt2img(recipe(), bundle), bundle))
    assert base64.b64decode(events[-1]["rgb"]) == rgb
    assert events[-1]["pixel_sha256"] == pixel_sha256(rgb, 128, 128)
    assert events[-1]["environment"]["fingerprint"] == bundle.fingerprint


def test_an_edit_equals_the_one_made_in_one_process(engine: RunningEngine, tiny_checkpoint: Path) -> None:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((128, 128)).convert("RGB").save(file, "PNG")
    png, sha256 = file.getvalue(), hashlib.sha256(file.getvalue()).hexdigest()
    frame = {"x": -32, "y": 0, "width": 160, "height": 128}
    wanted = recipe(edit={"image": sha256, "frame": frame}, width=160)

    async def events(inputs: dict[str, bytes]) -> list[dict[str, Any]]:
        return [event async for event in engine.client.generate(wanted, inputs)]

    [*_, image] = run(events({sha256: png}))
    bundle = load(tiny_checkpoint)
    rgb = to_rgb_bytes(run_alone(job_of(wanted, bundle, {sha256: decode_png(png)}), bundle))
    assert base64.b64decode(image["rgb"]) == rgb
    with pytest.raises(EngineRefused, match="is not among the inputs") as refusal:
        run(events({}))
    assert refusal.value.status == 422


def test_eight_pictures_at_once_share_calls_and_equal_single_ones(engine: RunningEngine) -> None:
    recipes = [recipe(seed=seed, steps=6 + seed % 3) for seed in range(8)]

    async def together() -> list[list[dict[str, Any]]]:
        return await asyncio.gather(*(engine.events(wanted) for wanted in recipes))

    before = run(engine.client.status())["metrics"]
    hashes = [events[-1]["pixel_sha256"] for events in run(together())]
    after = run(engine.client.status())["metrics"]
    rows, calls = (after[name] - before[name] for name in ("rows_total", "calls_total"))
    assert rows == 2 * sum(wanted.steps for wanted in recipes)
    assert rows / calls > 4
    assert hashes == [run(engine.events(wanted))[-1]["pixel_sha256"] for wanted in recipes]
    assert len(set(hashes)) == 8


def test_closing_the_stream_frees_the_rows(engine: RunningEngine) -> None:
    async def close_early() -> None:
        events = engine.client.generate(recipe(steps=150, width=512, height=512))
        async for event in events:
            if event["event"] == "progress":
                break
        await events.aclose()

        async def is_free() -> bool:
            return bool((await engine.client.status())["running"] == 0)

        await until(is_free)
        status = await engine.client.status()
        assert status["metrics"]["steps_total"] - steps < 140

    steps = run(engine.client.status())["metrics"]["steps_total"]
    run(close_early())


def test_a_damaged_checkpoint_fails_its_job_with_the_reason_and_nothing_else(engine: RunningEngine) -> None:
    [failed] = run(engine.events(recipe(checkpoint="cracked")))
    assert (failed["event"], failed["code"]) == ("failed", "checkpoint")
    assert "diffusion_pytorch_model.safetensors" in failed["message"]
    status = run(engine.client.status())
    assert status["state"] == "ready"
    assert [entry["state"] for entry in status["checkpoints"]][:2] == ["ready", "failed"]
    assert run(engine.events(recipe(steps=1)))[-1]["event"] == "image"


def test_an_unknown_checkpoint_is_refused(engine: RunningEngine) -> None:
    with pytest.raises(EngineRefused, match="no-such") as refusal:
        run(engine.events(recipe(checkpoint="no-such")))
    assert refusal.value.status == 404


def test_it_learns_with_a_recipe_where_its_checkpoint_lies(
    engine: RunningEngine, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    late = tmp_path / "late"
    shutil.copytree(tiny_checkpoint, late)
    name = f"some/late@{'0' * 40}"
    knowing = EngineClient(engine.client.socket, {name: late}.get)

    async def events() -> list[dict[str, Any]]:
        return [event async for event in knowing.generate(recipe(checkpoint=name, steps=1))]

    last = run(events())[-1]
    assert last["event"] == "image"
    assert last["environment"]["checkpoint"] == name
    status = run(engine.client.status())
    [entry] = [entry for entry in status["checkpoints"] if entry["name"] == name]
    assert (entry["state"], entry["bytes"] > 0) == ("ready", True)
    assert entry["bytes"] <= status["memory"]["used"] <= status["memory"]["budget"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", None),
        (b"[]", None),
        (b"{}", None),
        (b'{"recipe": {"prompt": "a", "seed": "x", "width": 64, "height": 64}}', "seed"),
        (b'{"recipe": {"prompt": "a", "seed": 1, "width": 65, "height": 64}}', "width"),
    ],
)
def test_a_malformed_request_is_refused(engine: RunningEngine, body: bytes, field: str | None) -> None:
    transport = httpx2.HTTPTransport(uds=str(address(engine.client.socket)))
    with httpx2.Client(transport=transport, base_url="http://engine") as http:
        answer = http.post("/generate", content=body)
    assert answer.status_code == 422
    assert [entry["field"] for entry in answer.json()["fields"]] == ([field] if field else [])


def test_the_socket_is_for_this_user_alone(engine: RunningEngine) -> None:
    assert address(engine.client.socket).stat().st_mode & 0o077 == 0


def test_a_bad_default_checkpoint_is_reported_and_the_engine_lives_until_it_is_told_to_end(folder: Path) -> None:
    engine = start(folder, "--checkpoint", str(folder / "nothing"))
    try:
        run(until(lambda: engine.is_state("failed")))
        status = run(engine.client.status())
        assert status["error"] == "nothing is not there; put it back, or name another one"
        assert engine.process.poll() is None
        engine.process.send_signal(signal.SIGTERM)
        assert engine.process.wait(15) == 0
        assert not engine.client.socket.exists()
    finally:
        end(engine)


def test_a_new_engine_takes_over_the_socket_and_the_old_one_leaves_it_alone(folder: Path) -> None:
    old = start(folder)
    inode = old.client.socket.stat().st_ino

    async def has_taken_over() -> bool:
        return old.client.socket.stat().st_ino != inode

    new = start(folder)
    try:
        run(until(has_taken_over))
        old.process.terminate()
        assert old.process.wait(15) == 0
        assert run(new.client.status())["state"] in ("loading", "ready", "failed")
        assert new.process.stdin is not None
        new.process.stdin.close()
        assert new.process.wait(15) == 0, "the end of standard input ends it"
    finally:
        end(old)
        end(new)


def test_a_path_too_long_for_a_socket_gets_a_private_one(tmp_path: Path) -> None:
    deep = tmp_path / ("deep-" * 30) / "engine.sock"
    assert address(deep) == address(deep)
    assert len(os.fsencode(address(deep))) < 104
    assert address(deep).parent.stat().st_mode & 0o077 == 0
    assert address(deep) != address(deep.with_name("other.sock"))
    assert address(Path("/short/engine.sock")) == Path("/short/engine.sock")


def test_an_engine_whose_socket_is_gone_ends(engine: RunningEngine) -> None:
    """The one of all these tests, which therefore need it before."""
    engine.client.socket.unlink()
    assert engine.process.wait(30) == 0
