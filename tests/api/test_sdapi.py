"""A1111's interface as its clients see it: answers, refusals in its shape, and nobody's work but one's own."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.metadata.read import read
from app.services import generate, keys
from tests.api.asking import PATIENCE_SECONDS
from tests.app.fake_engine import FakeEngine

ASKED = {"prompt": "a lake", "steps": 2, "width": 64, "height": 64}
LISTS = (
    *("samplers", "schedulers", "upscalers", "latent-upscale-modes", "sd-models", "sd-vae", "hypernetworks"),
    *("face-restorers", "realesrgan-models", "prompt-styles", "loras", "script-info", "extensions"),
)


def picture(size: tuple[int, int] = (64, 64), mode: str = "RGB", colour: Any = None) -> str:
    out = io.BytesIO()
    Image.new(mode, size, colour or 0).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def ask(client: TestClient, route: str = "txt2img", **changes: Any) -> dict[str, Any]:
    response = client.post(f"/sdapi/v1/{route}", json={**ASKED, **changes})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def info_of(answer: dict[str, Any]) -> dict[str, Any]:
    assert isinstance(answer["info"], str)
    info: dict[str, Any] = json.loads(answer["info"])
    return info


def jobs_of_programs(client: TestClient) -> int:
    return len(generate.recent_jobs(client.app.state.store, keys.LOCAL, 100))  # type: ignore[attr-defined]


def test_pictures_come_in_order_with_their_seeds_and_texts(alice: TestClient, engine: FakeEngine) -> None:
    answer = ask(alice, seed=7, batch_size=2, n_iter=2, sampler_name="DPM++ 2M Karras", url="ignored", auth="ignored")
    info = info_of(answer)
    assert info["all_seeds"] == [7, 8, 9, 10]
    assert info["sampler_name"] == "DPM++ 2M"
    recipes = [read(base64.b64decode(image)) for image in answer["images"]]
    assert [reading.recipe.seed for reading in recipes if reading and reading.recipe] == [7, 8, 9, 10]
    assert info["infotexts"][3] == (
        "a lake\nSteps: 2, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 3.0, Seed: 10, Size: 64x64, "
        "Model: bare, RNG: CPU, Version: Mezzotint 0"
    )
    assert {recipe.scheduler for recipe in engine.finished} == {"karras"}
    assert answer["parameters"]["prompt"] == "a lake"


def test_what_is_left_out_is_the_checkpoints_own(alice: TestClient) -> None:
    info = info_of(ask(alice, steps=None, width=None, height=None))
    assert (info["steps"], info["cfg_scale"], info["width"]) == (6, 3.0, 128)


def test_what_cannot_be_done_is_accepted_and_said(alice: TestClient) -> None:
    info = info_of(ask(alice, restore_faces=True, styles=["ink"], width=70))
    assert [warning.split(" ")[0] for warning in info["warnings"]] == ["restore_faces", "styles", "70x64"]
    assert info["width"] == 64


def test_variations_turn_one_seed(alice: TestClient, engine: FakeEngine) -> None:
    info = info_of(ask(alice, seed=7, subseed=3, subseed_strength=0.2, batch_size=2, tiling=True))
    assert (info["all_seeds"], info["all_subseeds"]) == ([7, 7], [3, 4])
    assert all(recipe.tiling and recipe.subseed_strength == 0.2 for recipe in engine.finished)


def test_a_second_pass_is_asked_for_in_a1111s_words(alice: TestClient, engine: FakeEngine) -> None:
    ask(
        alice,
        enable_hr=True,
        hr_scale=2,
        hr_upscaler="Latent (nearest)",
        denoising_strength=0.5,
        hr_second_pass_steps=3,
    )
    hires = engine.finished[-1].hires
    assert hires is not None
    assert (hires.scale, hires.upscaler, hires.strength, hires.steps) == (2, "latent", 0.5, 3)


def test_masks_of_any_kind_and_size_are_taken(alice: TestClient, engine: FakeEngine) -> None:
    for head, mode, colour, side in (
        ("", "L", 255, 64),
        ("data:image/png;base64,", "RGBA", (0, 0, 0, 255), 32),
        ("", "L", 0, 50),
    ):
        mask = head + picture((side, side), mode, colour)
        changes = {"init_images": [head + picture((96, 80))], "mask": mask, "inpaint_full_res": 1, "inpainting_fill": 1}
        answer = ask(alice, "img2img", **changes, inpainting_mask_invert=False, mask_blur=2)
        assert opened(answer["images"][0]).size == (96, 80), "with the whole resolution the picture keeps its size"
        edit = engine.finished[-1].edit
        assert edit is not None
        assert (edit.only_masked, edit.work_width, edit.masked_content) == (True, 64, "original")
        assert (edit.mask_blur, edit.grow) == (2, 2), "half of the rim lies outside, as of a blurred mask"
        assert answer["parameters"]["init_images"] is None


def test_no_mask_is_the_whole_picture_at_the_size_asked_for(alice: TestClient, engine: FakeEngine) -> None:
    for mode, mask in ((0, ""), (1, None), (2, ""), (3, None)):
        answer = ask(alice, "img2img", init_images=[picture((96, 80))], mask=mask, resize_mode=mode)
        assert opened(answer["images"][0]).size == (64, 64)
    edit = engine.finished[-1].edit
    assert edit is not None
    assert (edit.mask, edit.strength) == (None, 0.75)


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("txt2img", {"sampler_name": "UniPC"}, "sampler_name"),
    ("txt2img", {"scheduler": "Turbo"}, "scheduler"),
    ("txt2img", {"steps": 0}, "steps"),
    ("txt2img", {"steps": "many"}, "steps"),
    ("txt2img", {"cfg_scale": 500}, "cfg_scale"),
    ("txt2img", {"width": 10_000}, "width"),
    ("txt2img", {"sampler_index": "UniPC"}, "sampler_index"),
    ("txt2img", {"override_settings": {"x": json.loads("[" * 200 + "]" * 200)}}, "override_settings"),
    ("txt2img", {"n_iter": 65}, "n_iter"),
    ("txt2img", {"batch_size": -1}, "batch_size"),
    ("txt2img", {"seed": 2**60}, "seed"),
    ("txt2img", {"alwayson_scripts": {"ControlNet": {"args": []}}}, "alwayson_scripts"),
    ("txt2img", {"script_name": "x/y plot"}, "script_name"),
    ("txt2img", {"enable_hr": True, "hr_upscaler": "4x-UltraSharp"}, "hr_upscaler"),
    ("txt2img", {"enable_hr": True, "hr_resize_y": 64}, "hr_resize_y"),
    ("txt2img", {"override_settings": {"sd_model_checkpoint": "none"}}, "override_settings.sd_model_checkpoint"),
    ("img2img", {}, "init_images"),
    ("img2img", {"init_images": ["!"]}, "init_images"),
    ("img2img", {"init_images": [picture(), "!"]}, "init_images.1"),
    ("img2img", {"init_images": [picture()], "width": 10**30}, "width"),
    ("img2img", {"init_images": [picture()], "height": 100_000}, "height"),
    ("img2img", {"init_images": ["http://169.254.169.254/"]}, "init_images"),
    ("img2img", {"init_images": [picture()], "mask": picture()[:40]}, "mask"),
    ("img2img", {"init_images": [picture()], "denoising_strength": 2}, "denoising_strength"),
    ("img2img", {"init_images": [picture()], "inpainting_fill": 9}, "inpainting_fill"),
    ("img2img", {"init_images": [picture()], "mask": picture(), "mask_blur_y": 65}, "mask_blur_y"),
    ("png-info", {"image": "aGVsbG8="}, "image"),
    ("interrogate", {"image": picture()}, "model"),
    ("extra-single-image", {"image": picture(), "upscaler_1": "ESRGAN_4x"}, "upscaler_1"),
    ("options", {"CLIP_stop_at_last_layers": 99}, "CLIP_stop_at_last_layers"),
    ("options", {"sd_model_checkpoint": "none"}, "sd_model_checkpoint"),
]


STATUSES: list[tuple[str, dict[str, Any], int]] = [
    ("txt2img", {"sampler_name": "UniPC"}, 400),
    ("img2img", {}, 404),
    ("interrogate", {"image": picture()}, 404),
    ("txt2img", {"script_name": "x/y plot"}, 422),
]


def test_a_refusal_has_a1111s_status(alice: TestClient) -> None:
    for route, changes, status in STATUSES:
        assert alice.post(f"/sdapi/v1/{route}", json={**ASKED, **changes}).status_code == status, (route, changes)


@pytest.mark.parametrize("content", ["{", "[" * 100_000, b"\xff\xfe", "[]", '{"override_settings": {"x": "\\ud800"}}'])
def test_a_body_that_is_no_object_of_text_is_refused(alice: TestClient, content: str | bytes) -> None:
    for route in ("sdapi/v1/txt2img", "sdapi/v1/options", "internal/progress", "v1/images/generations"):
        response = alice.post(f"/{route}", content=content, headers={"content-type": "application/json"})
        is_ignored = "override" in str(content) and route != "sdapi/v1/txt2img"
        assert response.status_code in ((200, 400, 422) if is_ignored else (400, 422)), (route, response.text)
    assert jobs_of_programs(alice) == 0


def test_every_refusal_names_the_field_in_a1111s_shape(alice: TestClient) -> None:
    for route, changes, field in REFUSALS:
        response = alice.post(f"/sdapi/v1/{route}", json={**ASKED, **changes})
        assert 400 <= response.status_code < 500, (route, changes)
        body = response.json()
        assert set(body) == {"error", "detail", "body", "errors"}
        assert f"{field}: " in body["detail"], (route, changes)
    assert jobs_of_programs(alice) == 0


def test_a_failed_picture_says_why(alice: TestClient, engine: FakeEngine) -> None:
    engine.fail_with = {"code": "out_of_memory", "message": "It does not fit."}
    response = alice.post("/sdapi/v1/txt2img", json=ASKED)
    assert (response.status_code, response.json()["error"]) == (500, "OutOfMemoryError")
    assert response.json()["detail"] == "It does not fit."


def test_every_list_is_there_with_and_without_a_slash(alice: TestClient) -> None:
    for name in LISTS:
        for slash in ("", "/"):
            response = alice.get(f"/sdapi/v1/{name}{slash}", follow_redirects=False)
            assert response.status_code == 200, name
            assert isinstance(response.json(), list)


def test_the_whole_object_of_options_is_taken_back(alice: TestClient) -> None:
    options = alice.get("/sdapi/v1/options").json()
    options |= {"sd_model_checkpoint": "BARE", "samples_format": "webp", "outdir_samples": "/etc", "forge_preset": "sd"}
    response = alice.post("/sdapi/v1/options/", json=options)
    assert (response.status_code, response.json()) == (200, None)
    after = alice.get("/sdapi/v1/options").json()
    assert (after["samples_format"], after["sd_model_checkpoint"].split(" ")[0]) == ("webp", "bare")
    assert "outdir_samples" not in after
    assert opened(ask(alice)["images"][0]).format == "WEBP"
    assert opened(ask(alice, override_settings={"samples_format": "jpeg"})["images"][0]).format == "JPEG"


def test_progress_and_interrupt_are_ones_own(alice: TestClient, charlie: TestClient, engine: FakeEngine) -> None:
    engine.step_delay = 0.05
    theirs = charlie.post("/api/jobs", json={**ASKED, "steps": 100}).json()["jobs"][0]["url"]
    answers: list[dict[str, Any]] = []
    asking = threading.Thread(
        target=lambda: answers.append(ask(alice, steps=100, batch_size=2, force_task_id="task(1)")), daemon=True
    )
    asking.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (seen := alice.get("/sdapi/v1/progress").json())["state"]["sampling_step"] < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert 0 < seen["progress"] < 1
    assert (seen["state"]["job_count"], seen["current_task"]) == (2, "task(1)")
    assert opened(seen["current_image"]).size == (8, 8)
    task = alice.post("/internal/progress", json={"id_task": "task(1)"}).json()
    assert task["active"]
    assert task["live_preview"].startswith("data:image/png;base64,")
    assert alice.get("/internal/pending-tasks").json() == {"size": 1, "tasks": ["task(1)"]}
    assert alice.post("/sdapi/v1/interrupt").json() == {}
    asking.join(PATIENCE_SECONDS)
    assert [opened(image).size for image in answers[0]["images"]] == [(64, 64)] * 2, "what stood by then"
    first = read(base64.b64decode(answers[0]["images"][0]))
    assert first is not None
    assert (first.recipe, first.source_type) == (None, "trainedAlgorithmicMedia")
    assert len(info_of(answers[0])["infotexts"]) == 2
    assert "interrupted" in info_of(answers[0])["warnings"][0]
    assert alice.post("/internal/progress", json={"id_task": "task(1)"}).json()["completed"]
    idle = alice.get("/sdapi/v1/progress").json()
    assert (idle["progress"], idle["state"]["job_count"]) == (0, 0)
    assert charlie.get(theirs).json()["status"] in ("queued", "running")


def test_pictures_are_enlarged_and_read(alice: TestClient, engine: FakeEngine) -> None:
    made = ask(alice, seed=7)["images"][0]
    for upscaler, size in (("Lanczos", (160, 160)), ("nearest", (160, 160)), ("Mezzotint img2img", (160, 160))):
        body = {"image": made, "upscaler_1": upscaler, "upscaling_resize": 2.5}
        assert opened(alice.post("/sdapi/v1/extra-single-image", json=body).json()["image"]).size == size
    assert engine.finished[-1].prompt == "a lake", "what the picture says it was made of"
    listed = {"imageList": [{"data": made, "name": "a.png"}] * 2, "upscaler_1": "Lanczos", "resize_mode": 1}
    batch = alice.post(
        "/sdapi/v1/extra-batch-images", json={**listed, "upscaling_resize_w": 96, "upscaling_resize_h": 64}
    )
    assert [opened(image).size for image in batch.json()["images"]] == [(96, 64)] * 2
    told = alice.post("/sdapi/v1/png-info", json={"image": made}).json()
    assert told["info"].startswith("a lake\nSteps: 2")
    assert told["parameters"] == {
        "Prompt": "a lake",
        "Negative prompt": "",
        "Steps": "2",
        "Sampler": "DDIM",
        "CFG scale": "3.0",
        "Seed": "7",
        "Size-1": "64",
        "Size-2": "64",
        "Model": "bare",
        "RNG": "CPU",
        "Version": "Mezzotint 0",
        "Clip skip": "1",
        "Schedule type": "Automatic",
        "Mask mode": "Inpaint masked",
        "Masked content": "original",
        "Inpaint area": "Whole picture",
        "Masked area padding": "32",
    }
    assert set(told["items"]) == {"mezzotint"}


def test_an_idempotency_key_finds_the_pictures_of_a_lost_connection(alice: TestClient, engine: FakeEngine) -> None:
    headers = {"Idempotency-Key": "k1"}
    first, again = (alice.post("/sdapi/v1/txt2img", json={**ASKED, "seed": 1}, headers=headers).json() for _ in "12")
    assert first["images"] == again["images"]
    assert len(engine.finished) == 1


def test_a_key_finds_a_variation_again_whose_seed_was_drawn(alice: TestClient, engine: FakeEngine) -> None:
    body, headers = {**ASKED, "seed": 1, "subseed_strength": 0.5}, {"Idempotency-Key": "k1"}
    first, again = (alice.post("/sdapi/v1/txt2img", json=body, headers=headers).json() for _ in "12")
    assert first["images"] == again["images"]
    assert [recipe.subseed_strength for recipe in engine.finished] == [0.5]
