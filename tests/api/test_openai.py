"""OpenAI's own client against a running server: generate, edit with a mask, stream, and its classes of errors."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from fastapi import FastAPI
from PIL import Image

from app.metadata.read import read
from app.services import generate, keys
from tests.app.fake_engine import FakeEngine

if TYPE_CHECKING:
    import openai

SMALL: dict[str, Any] = {"prompt": "a lake", "size": "64x64", "extra_body": {"seed": 7, "steps": 2}}


@pytest.fixture
def client(live: str) -> Iterator[openai.OpenAI]:
    import openai  # here, for it takes a second, and each worker imports every file of tests

    with openai.OpenAI(base_url=f"{live}/v1", api_key="none", max_retries=2, timeout=20) as client:
        yield client


def file_of(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def opened(datum: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(datum.b64_json)))


def test_pictures_come_as_base64_and_as_addresses(client: openai.OpenAI, engine: FakeEngine) -> None:
    answer = client.images.generate(model="dall-e-3", n=3, quality="hd", style="vivid", user="me", **SMALL)
    assert answer.data is not None
    assert [recipe.seed for recipe in sorted(engine.finished, key=lambda recipe: recipe.seed)] == [7, 8, 9]
    first = read(base64.b64decode(answer.data[0].b64_json or ""))
    assert first is not None
    assert first.recipe is not None
    assert (first.recipe.seed, first.recipe.steps, first.recipe.width) == (7, 2, 64)
    fetched = httpx2.get(answer.data[0].url or "")
    assert fetched.content == base64.b64decode(answer.data[0].b64_json or "")
    assert fetched.headers["cross-origin-resource-policy"] == "cross-origin"
    assert httpx2.head(answer.data[0].url or "").status_code == 200
    assert httpx2.get((answer.data[0].url or "")[:-3] + "AAA").status_code == 404


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_the_kind_of_file_and_its_compression_are_chosen(client: openai.OpenAI, kind: Any) -> None:
    sizes = []
    for compression in (5, 100):
        answer = client.images.generate(
            output_format=kind, output_compression=compression, response_format="b64_json", **SMALL
        )
        assert answer.data is not None
        assert opened(answer.data[0]).format == kind.upper()
        assert answer.data[0].url is None
        sizes.append(len(answer.data[0].b64_json or ""))
    assert (sizes[0] < sizes[1]) == (kind != "png")


def test_what_is_transparent_in_the_mask_is_changed(client: openai.OpenAI, engine: FakeEngine, app: FastAPI) -> None:
    mask = Image.new("RGBA", (96, 80), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 48, 80))
    picture = file_of(Image.new("RGB", (96, 80), "navy"))
    answer = client.images.edit(image=picture, mask=file_of(mask), prompt="a tent", response_format="b64_json")
    assert answer.data is not None
    assert opened(answer.data[0]).size == (96, 80)
    edit = engine.finished[-1].edit
    assert edit is not None
    assert edit.mask is not None
    assert edit.strength == 1.0
    kept = Image.open(app.state.store.files.find(edit.mask))
    assert (kept.getpixel((10, 10)), kept.getpixel((80, 10))) == (255, 0)


def test_without_a_mask_the_pictures_own_transparency_counts(client: openai.OpenAI, engine: FakeEngine) -> None:
    clear, solid = Image.new("RGBA", (64, 64), (9, 9, 9, 0)), Image.new("RGB", (64, 64))
    for picture, has_mask in ((clear, True), (solid, False)):
        client.images.edit(image=[("a.png", file_of(picture), "image/png")], prompt="a tent", size="64x64")
        edit = engine.finished[-1].edit
        assert edit is not None
        assert (edit.mask is not None) is has_mask


def test_a_variation_is_drawn_with_what_the_picture_was_made_of(client: openai.OpenAI, engine: FakeEngine) -> None:
    made = client.images.generate(**SMALL)
    assert made.data is not None
    content = base64.b64decode(made.data[0].b64_json or "")
    files = {"image": ("a.png", content, "image/png")}
    answer = httpx2.post(f"{client.base_url}images/variations", data={"n": "2"}, files=files).json()
    assert len(answer["data"]) == 2
    assert engine.finished[-1].prompt == "a lake"


def test_an_edit_comes_as_json_too(live: str, engine: FakeEngine) -> None:
    uri = "data:image/png;base64," + base64.b64encode(file_of(Image.new("RGB", (64, 64)))).decode()
    body = {"prompt": "a tent", "images": [{"image_url": uri}]}
    assert httpx2.post(f"{live}/v1/images/edits", json=body).status_code == 200
    assert engine.finished[-1].edit is not None
    for source in ({"image_url": "https://pictures.example/a.png"}, {"file_id": "file-1"}):
        refused = httpx2.post(f"{live}/v1/images/edits", json={**body, "images": [source]})
        error = refused.json()["error"]
        assert (refused.status_code, error["param"]) == (400, "images.0.image_url")
        assert error["code"] == "remote_urls_disabled"


def test_a_stream_brings_previews_and_then_the_picture(client: openai.OpenAI, engine: FakeEngine) -> None:
    engine.step_delay = 0.1
    asked = {**SMALL, "extra_body": {"steps": 8}}
    events = list(client.images.generate(stream=True, partial_images=2, **asked))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    assert {opened(event).size for event in events} == {(64, 64)}
    assert events[-1].usage.total_tokens == 0


def test_a_failure_within_a_stream_is_raised(client: openai.OpenAI, engine: FakeEngine) -> None:
    import openai

    engine.fail_with = {"code": "numerical", "message": "Only noise came out."}
    with pytest.raises(openai.APIError, match="Only noise"):
        list(client.images.generate(stream=True, **SMALL))


def test_a_failed_picture_is_not_drawn_three_times(client: openai.OpenAI, engine: FakeEngine) -> None:
    import openai

    engine.fail_with = {"code": "out_of_memory", "message": "It does not fit."}
    with pytest.raises(openai.InternalServerError) as refused:
        client.images.generate(**SMALL)
    assert refused.value.code == "out_of_memory"
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert refused.value.request_id
    assert len(engine.started) == 1


REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    ({"size": "70x70"}, "BadRequestError", "size"),
    ({"size": "large"}, "BadRequestError", "size"),
    ({"n": 11}, "BadRequestError", "n"),
    ({"prompt": " "}, "BadRequestError", "prompt"),
    ({"background": "transparent"}, "BadRequestError", "background"),
    ({"output_format": "gif"}, "BadRequestError", "output_format"),
    ({"extra_body": {"steps": 1000}}, "BadRequestError", "steps"),
    ({"extra_body": {"sampler": "UniPC"}}, "BadRequestError", "sampler"),
    ({"model": "nothing"}, "NotFoundError", "model"),
]


def test_refusals_are_of_the_right_class_and_leave_no_job(client: openai.OpenAI, app: FastAPI) -> None:
    import openai

    for changes, kind, param in REFUSALS:
        with pytest.raises(getattr(openai, kind)) as refused:
            client.images.generate(**{**SMALL, **changes})
        assert refused.value.param == param
        assert refused.value.type in ("invalid_request_error", "not_found_error")
    assert generate.recent_jobs(app.state.store, keys.LOCAL) == []


def test_refused_files_name_their_field(client: openai.OpenAI, app: FastAPI) -> None:
    import openai

    picture, small = file_of(Image.new("RGB", (64, 64))), file_of(Image.new("RGBA", (32, 32)))
    for files, param in (
        ({"image": b"no picture"}, "image"),
        ({"image": picture, "mask": picture}, "mask"),
        ({"image": picture, "mask": small}, "mask"),
        ({"image": [picture, picture]}, "image"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            client.images.edit(prompt="a tent", **files)
        assert refused.value.param == param
    assert generate.recent_jobs(app.state.store, keys.LOCAL) == []


def test_the_checkpoints_are_the_models(client: openai.OpenAI) -> None:
    assert "bare" in [model.id for model in client.models.list()]
    assert client.models.retrieve("bare").owned_by == "mezzotint"


def test_a_checkpoint_that_was_taken_away_hides_no_other(
    client: openai.OpenAI, app: FastAPI, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = app.state.catalogue.default.model_copy(update={"name": "gone", "path": str(tmp_path / "gone")})
    there = app.state.catalogue.checkpoints()
    monkeypatch.setattr(app.state.catalogue, "checkpoints", lambda: [*there, gone])
    assert [model.id for model in client.models.list()] == [*(facts.name for facts in there), "gone"]
