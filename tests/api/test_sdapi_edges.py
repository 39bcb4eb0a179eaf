"""What A1111's clients do at the edges: no prompt, nulls, several pictures, odd sizes, names that outlive a server."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from app.metadata.read import read
from app.services import batch, client_options, generate, keys
from app.services.catalogue import Catalogue
from app.services.client_options import Options
from app.settings import Settings
from app.storage import client_options as stored_options
from app.web.sdapi import pictures, shapes
from tests.api.conftest import ADDRESS
from tests.api.test_sdapi import ask, info_of, opened, picture
from tests.app.fake_engine import FakeEngine
from tests.app.test_metadata_hostile import file_with


def test_an_empty_prompt_is_a_prompt(alice: TestClient, engine: FakeEngine) -> None:
    for prompt in ("", None, " "):
        answer = ask(alice, prompt=prompt, negative_prompt=None)
        assert engine.finished[-1].prompt == ""
        assert info_of(answer)["infotexts"][0].startswith("\nSteps: 2"), "a line break guards the settings"
        told = read(base64.b64decode(answer["images"][0]))
        assert told is not None
        assert told.recipe == engine.finished[-1]
    assert 'alt=""' not in alice.get("/images?of=programs").text
    ask(alice, "img2img", prompt="", init_images=[picture()])


def test_null_and_nothing_are_the_default(alice: TestClient) -> None:
    small = {"steps": 1, "width": 64, "height": 64}
    for shape, route in ((shapes.TextRequest, "txt2img"), (shapes.ImageRequest, "img2img")):
        for nothing in (None, ""):
            body = dict.fromkeys(shape.model_fields, nothing) | small | {"init_images": [picture()]}
            info = info_of(ask(alice, route, **body))
            assert (info["seed"] >= 0, info["subseed"], info["warnings"]) == (True, -1, [])
    shown = ask(alice, enable_hr="false", restore_faces="0", seed="12", n_iter="1", cfg_scale="5")["parameters"]
    assert (shown["enable_hr"], shown["restore_faces"], shown["seed"], shown["cfg_scale"]) == (False, False, 12, 5.0)


def test_text_that_no_answer_could_repeat_is_refused(alice: TestClient) -> None:
    for field in ("force_task_id", "script_name", "prompt"):
        body = json.dumps({"prompt": "a lake"} | {field: "\ud800"})
        answer = alice.post("/sdapi/v1/txt2img", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert field in answer.text


def test_several_pictures_are_a_batch_of_one_each(alice: TestClient, engine: FakeEngine) -> None:
    begun = [picture((64, 64), "RGB", colour) for colour in ("red", "blue")]
    info = info_of(ask(alice, "img2img", init_images=begun, batch_size=8, n_iter=2, seed=5))
    assert info["all_seeds"] == [5, 6, 7, 8]
    edits = {recipe.seed: recipe.edit for recipe in engine.finished}
    images = [edit.image for seed in range(5, 9) if (edit := edits[seed]) is not None]
    assert images[0] == images[2] != images[1] == images[3]


def test_a_picture_of_an_odd_size_comes_back_at_that_size(alice: TestClient) -> None:
    for kind, size in (("png", (101, 75)), ("webp", (50, 600))):
        answer = ask(
            alice,
            "img2img",
            init_images=[picture(size, "RGB", (9, 8, 7))],
            mask=picture(size, "L", 255),
            override_settings={"samples_format": kind},
        )
        content = base64.b64decode(answer["images"][0])
        image, told = Image.open(io.BytesIO(content)), read(content)
        assert (image.size, image.format) == (size, kind.upper())
        assert kind != "png" or image.getpixel((100, 74)) == (9, 8, 7), "beyond a multiple of 8 nothing is painted"
        assert told is not None
        assert told.recipe is not None
        assert told.source_type == "compositeWithTrainedAlgorithmicMedia"


def test_a_second_pass_and_masks_are_among_the_extra_parameters(alice: TestClient) -> None:
    extra = info_of(ask(alice, enable_hr=True, hr_scale=2, hr_upscaler="Latent (bicubic)", s_churn=3))
    assert extra["extra_generation_params"]["Hires upscale"] == 2
    assert [warning.split(" ")[0] for warning in extra["warnings"]] == ["s_churn", "hr_upscaler"]
    masked = info_of(ask(alice, "img2img", init_images=[picture()], mask=picture(), latent_mask=picture()))
    assert masked["extra_generation_params"]["Inpaint area"] == "Only masked"
    assert masked["warnings"] == ["latent_mask was ignored: it is not built here."]


def test_a_checkpoint_that_was_chosen_and_is_gone_locks_nobody_out(alice: TestClient) -> None:
    store = alice.app.state.store  # type: ignore[attr-defined]
    with store.write() as tx:
        stored_options.put(tx, keys.LOCAL, {"sd_model_checkpoint": "deleted since"})
    assert alice.get("/sdapi/v1/options").json()["sd_model_checkpoint"] == "bare"
    assert ask(alice)["images"]


def test_options_that_are_set_at_once_are_all_kept(alice: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = client_options.changed

    def interrupted(catalogue: Catalogue, options: Options, changes: Mapping[str, Any], prefix: str = "") -> Options:
        monkeypatch.setattr(client_options, "changed", changed)
        assert alice.post("/sdapi/v1/options", json={"eta_ddim": 0.5}).status_code == 200
        return changed(catalogue, options, changes, prefix)

    monkeypatch.setattr(client_options, "changed", interrupted)
    assert alice.post("/sdapi/v1/options", json={"jpeg_quality": 90}).status_code == 200
    kept = alice.get("/sdapi/v1/options").json()
    assert (kept["eta_ddim"], kept["jpeg_quality"]) == (0.5, 90)


def test_a_hash_that_is_not_known_is_no_other_hash(alice: TestClient) -> None:
    answer = ask(alice)
    assert info_of(answer)["sd_model_hash"] is None
    assert "Model hash" not in info_of(answer)["infotexts"][0]
    assert alice.get("/sdapi/v1/sd-models").json()[0]["hash"] is None


def test_the_name_of_a_request_outlives_the_server_and_is_nobody_elses(
    alice: TestClient, settings: Settings, build: Callable[[Settings], FastAPI]
) -> None:
    ask(alice, force_task_id="task(a_b%)")
    store = alice.app.state.store  # type: ignore[attr-defined]
    assert batch.named(store, "charlie", "task(a_b%)") is None
    with TestClient(build(settings), base_url=ADDRESS) as again:
        for task, is_completed in (("task(a_b%)", True), ("task(axb%)", False), ("", False), (None, False)):
            told = again.post("/internal/progress", json={"id_task": task}).json()
            assert (told["active"], told["queued"], told["completed"]) == (False, False, is_completed)
        header = {"Idempotency-Key": "task(a_b%)"}
        made = again.post("/sdapi/v1/txt2img", json={"prompt": "a tent", "steps": 1}, headers=header)
        assert made.status_code == 200, "names and idempotency keys are apart"


def test_what_is_too_large_is_refused_before_a_pixel_of_it_is_made(alice: TestClient) -> None:
    content = base64.b64decode(picture())
    for size in ("99999x99999", "64x99999", "8x8"):
        refused = alice.post("/v1/images/edits", data={"prompt": "a tent", "size": size}, files={"image": content})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "size")
    assert generate.recent_jobs(alice.app.state.store, keys.LOCAL) == []  # type: ignore[attr-defined]


def test_a_layer_that_the_checkpoint_has_not_is_refused(alice: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = alice.app.state.catalogue.default.model_copy(update={"text_layers": 4})  # type: ignore[attr-defined]
    monkeypatch.setattr(Catalogue, "get", lambda *_: facts)
    body = {"prompt": "a lake", "override_settings": {"CLIP_stop_at_last_layers": 12}}
    refused = alice.post("/sdapi/v1/txt2img", json=body)
    assert (refused.status_code, "no more layers" in refused.text) == (422, True)
    assert "CLIP_stop_at_last_layers" in refused.text


def test_a_picture_beyond_the_memory_is_refused(alice: TestClient) -> None:
    catalogue = alice.app.state.catalogue  # type: ignore[attr-defined]
    catalogue.room.note({"memory": {"pictures": 8 * 2**20}, "dtype": "float32"})
    refused = alice.post("/sdapi/v1/txt2img", json={"prompt": "a lake", "width": 2048, "height": 2048})
    assert (refused.status_code, "2048 x 2048 needs about" in refused.text) == (422, True)


def test_the_thinnest_picture_fits_into_any_size(alice: TestClient) -> None:
    for size in ((2000, 1), (1, 2000)):
        answer = ask(alice, "img2img", init_images=[picture(size)], resize_mode=2)
        assert opened(answer["images"][0]).size == (64, 64)


def test_many_pictures_are_not_enlarged_beyond_one_answer(alice: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", 2 * 128 * 128)
    body = {"upscaler_1": "Lanczos", "upscaling_resize": 2}
    for count, status in ((2, 200), (3, 422)):
        images = [{"data": picture(), "name": "a.png"}] * count
        answer = alice.post("/sdapi/v1/extra-batch-images", json={**body, "imageList": images})
        assert answer.status_code == status, answer.text
    assert "imageList.2.data" in answer.text


def test_every_address_of_a_dialect_answers_in_its_shape(alice: TestClient) -> None:
    for path in ("/v1", "/v1/", "/v1/nothing", "/v1/models/org/name@1", "/v1/models/org%2Fname"):
        assert set(alice.get(path).json()["error"]) == {"message", "type", "param", "code"}, path
    for path in ("/sdapi/v1/", "/sdapi/v1/nothing/", "/internal/nothing"):
        assert alice.get(path).json()["error"] == "HTTPException", path


def test_settings_that_cannot_be_said_in_json_are_read_all_the_same(alice: TestClient) -> None:
    for value in ('"\\ud800"', "inf", "nan", "1e999", '"\\u0000"'):
        text = f"a\nSteps: 20, Sampler: {value}, CFG scale: {value}, Seed: 1, Size: 64x64, Odd: {value}"
        content = file_with("parameters", text)
        told = alice.post("/sdapi/v1/png-info", json={"image": base64.b64encode(content).decode()})
        assert told.status_code == 200, value
        assert json.loads(told.text)["parameters"]["Seed"] == "1"
        assert alice.post("/inspect", files={"file": content}).status_code == 200
