"""A1111's clients, unchanged: the webuiapi package over HTTP, and what chat front ends and tools really send."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
import webuiapi
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from app.settings import Settings
from tests.api.test_sdapi import opened, picture
from tests.app.fake_engine import FakeEngine


@pytest.fixture
def api(live: str) -> webuiapi.WebUIApi:
    return webuiapi.WebUIApi(baseurl=f"{live}/sdapi/v1")


def test_webuiapi_makes_pictures(api: webuiapi.WebUIApi, engine: FakeEngine) -> None:
    result = api.txt2img(prompt="a lake", negative_prompt="fog", seed=7, steps=2, width=64, height=64, batch_size=2)
    assert [image.size for image in result.images] == [(64, 64)] * 2
    assert result.info["all_seeds"] == [7, 8]
    assert result.parameters["cfg_scale"] == 7
    assert engine.finished[0].negative_prompt == "fog"
    assert engine.finished[0].eta == 1.0, "webuiapi sends 1"
    assert "Steps: 2" in api.png_info(result.image).info


def test_webuiapi_inpaints_and_enlarges(api: webuiapi.WebUIApi, engine: FakeEngine) -> None:
    start, mask = Image.new("RGB", (96, 80)), Image.new("L", (96, 80), 255)
    result = api.img2img(images=[start], mask_image=mask, prompt="a tent", steps=2, width=64, height=64)
    assert result.image.size == (96, 80)
    edit = engine.finished[-1].edit
    assert edit is not None
    assert edit.masked_content == "fill"
    assert api.extra_single_image(start, upscaler_1="Lanczos", upscaling_resize=2).image.size == (192, 160)
    many = api.extra_batch_images([start, start], upscaler_1="Nearest", upscaling_resize=0.5)
    assert [image.size for image in many.images] == [(48, 40)] * 2


def test_webuiapi_finds_all_that_it_lists(api: webuiapi.WebUIApi) -> None:
    assert "DDIM" in api.util_get_sampler_names()
    assert "karras" in api.util_get_scheduler_names()
    api.util_set_model("bare")
    assert api.util_get_current_model().startswith("bare")
    api.util_wait_for_ready(check_interval=0.01)
    assert (api.interrupt(), api.skip(), api.refresh_checkpoints()) == ({}, None, None)
    assert api.set_options({"samples_format": "jpg"}) is None
    assert api.get_options()["samples_format"] == "jpg"
    assert api.get_scripts() == {"txt2img": [], "img2img": []}
    for answer in (api.get_cmd_flags(), api.get_embeddings(), api.get_memory(), api.get_progress()):
        assert isinstance(answer, dict)


def test_webuiapi_is_told_what_is_wrong(api: webuiapi.WebUIApi, engine: FakeEngine) -> None:
    with pytest.raises(RuntimeError, match="Sampler not found"):
        api.txt2img(prompt="a lake", sampler_name="PLMS")
    with pytest.raises(RuntimeError, match="Model not found"):
        api.interrogate(Image.new("RGB", (8, 8)))
    assert engine.started == []


def post(client: TestClient, route: str, body: Any, **headers: str) -> Any:
    response = client.post(route, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


def test_open_webui(alice: TestClient) -> None:
    """Verifies, lists models, posts the whole object of options back, and sends an empty Authorization."""
    headers = {"authorization": ""}
    options = alice.get("/sdapi/v1/options", headers=headers).json()
    models = alice.get("/sdapi/v1/sd-models", headers=headers).json()
    assert {"title", "model_name"} <= models[0].keys()
    options["sd_model_checkpoint"] = next(model["title"] for model in models if model["model_name"] == "bare")
    assert post(alice, "/sdapi/v1/options", options, **headers) is None
    body = {"prompt": "a lake", "batch_size": 1, "width": 64, "height": 64, "steps": 2, "negative_prompt": ""}
    answer = post(alice, "/sdapi/v1/txt2img", body, **headers)
    assert opened(answer["images"][0]).size == (64, 64)
    assert json.loads(answer["info"])["seed"] >= 0


def test_open_webui_by_openais_interface(alice: TestClient) -> None:
    body = {"model": "dall-e-2", "prompt": "a lake", "n": 1, "size": "64x64", "response_format": "b64_json", "steps": 2}
    headers = {"Authorization": "Bearer sk-anything"}
    assert opened(post(alice, "/v1/images/generations", body, **headers)["data"][0]["b64_json"]).size == (64, 64)
    files = {"image[]": ("image.png", base64.b64decode(picture()), "image/png")}
    form = {"model": "gpt-image-1", "prompt": "a tent", "n": "1", "size": "64x64"}
    edited = alice.post("/v1/images/edits", data=form, files=files, headers=headers)
    assert edited.status_code == 200, edited.text
    assert edited.json()["data"][0]["b64_json"]


def test_sillytavern(alice: TestClient) -> None:
    """Forwards its own `url` and `auth` in the body."""
    for name in ("options", "upscalers", "latent-upscale-modes", "sd-vae", "sd-modules", "samplers", "schedulers"):
        assert alice.get(f"/sdapi/v1/{name}").status_code == 200
    assert "forge_preset" not in alice.get("/sdapi/v1/options").json()
    body = {
        "url": "http://127.0.0.1:7860",
        "auth": "user:pass",
        "prompt": "a lake",
        "negative_prompt": "fog",
        "sampler_name": "DPM++ 2M",
        "scheduler": "Karras",
        "steps": 2,
        "cfg_scale": 7,
        "width": 64,
        "height": 64,
        "restore_faces": False,
        "enable_hr": False,
        "hr_upscaler": "Latent",
        "hr_scale": 2,
        "hr_additional_modules": [],
        "denoising_strength": 0.7,
        "hr_second_pass_steps": 0,
        "seed": -1,
        "override_settings": {"CLIP_stop_at_last_layers": 2, "sd_vae": None, "forge_additional_modules": []},
        "override_settings_restore_afterwards": True,
        "clip_skip": 2,
        "save_images": True,
        "send_images": True,
        "do_not_save_grid": False,
        "do_not_save_samples": False,
    }
    answer = post(alice, "/sdapi/v1/txt2img", body)
    assert json.loads(answer["info"])["clip_skip"] == 2
    assert alice.get("/sdapi/v1/options").json()["CLIP_stop_at_last_layers"] == 1, "it was for one request"


def test_librechat(alice: TestClient) -> None:
    body = {"prompt": "a lake", "negative_prompt": "fog", "cfg_scale": 4.5, "steps": 2, "width": 128, "height": 128}
    answer = post(alice, "/sdapi/v1/txt2img", body)
    assert json.loads(answer["info"])["infotexts"][0].splitlines()[-1].startswith("Steps: 2, Sampler: ")


def test_openoutpaint_from_its_own_origin(settings: Settings, build: Callable[[Settings], FastAPI]) -> None:
    """A page elsewhere: preflights, slashes, DDIM, a blank mask, all_seeds."""
    origin = {"Origin": "https://outpaint.example"}
    app = build(settings.model_copy(update={"cors_origins": ["https://outpaint.example"]}))
    with TestClient(app, base_url="http://127.0.0.1:8000") as browser:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        preflight = browser.options("/sdapi/v1/img2img", headers={**origin, **asked})
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, origin["Origin"])
        for name in ("progress", "options/", "upscalers", "sd-models", "loras", "samplers", "prompt-styles", "scripts"):
            response = browser.get(f"/sdapi/v1/{name}", headers=origin, follow_redirects=False)
            assert response.status_code == 200
            assert response.headers["access-control-allow-origin"] == origin["Origin"]
        body = {
            "prompt": "a tent",
            "sampler_index": "DDIM",
            "steps": 2,
            "width": 64,
            "height": 64,
            "denoising_strength": 1,
            "mask_blur": 0,
            "inpaint_full_res": False,
            "inpainting_fill": 2,
            "init_images": [f"data:image/png;base64,{picture((64, 64), 'RGBA')}"],
            "mask": f"data:image/png;base64,{picture((64, 64), 'RGBA', (0, 0, 0, 255))}",
            "alwayson_scripts": {"Soft Inpainting": {"args": [True, 1, 0.5, 4, 0, 0.5, 2]}},
        }
        answer = browser.post("/sdapi/v1/img2img", json=body, headers={**origin, "Sec-Fetch-Site": "cross-site"})
        info = json.loads(answer.json()["info"])
        assert info["all_seeds"]
        assert "Soft Inpainting was ignored" in info["warnings"][0]


def test_easy_diffusion_follows_its_task(alice: TestClient) -> None:
    assert alice.get("/internal/ping").json() == {}
    body = {
        "prompt": "a lake",
        "steps": 2,
        "width": 64,
        "height": 64,
        "force_task_id": "t1",
        "distilled_cfg_scale": 3.5,
    }
    assert len(post(alice, "/sdapi/v1/txt2img", body)["images"]) == 1
    idle = post(alice, "/internal/progress", {"id_task": "t1", "id_live_preview": -1, "live_preview": True})
    assert (idle["active"], idle["queued"], idle["completed"]) == (False, False, True)


def test_as_many_clients_at_once_as_may_wait_get_each_their_own(
    live: str, settings: Settings, engine: FakeEngine
) -> None:
    def ask(seed: int) -> list[int]:
        if seed % 2:
            client = webuiapi.WebUIApi(baseurl=f"{live}/sdapi/v1")
            made = client.txt2img(prompt="a lake", seed=seed, steps=2, width=64, height=64)
            return [int(found) for found in made.info["all_seeds"]]
        body = {"prompt": "a lake", "size": "64x64", "steps": 2, "seed": seed}
        answer = httpx2.post(f"{live}/v1/images/generations", json=body, timeout=60).json()
        return [datum["seed"] for datum in answer["data"]]

    with ThreadPoolExecutor(settings.max_pending) as clients:
        assert list(clients.map(ask, range(settings.max_pending))) == [[seed] for seed in range(settings.max_pending)]
    assert len(engine.finished) == settings.max_pending
