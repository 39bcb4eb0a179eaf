"""Whatever is in the fields of a dialect, it is a request or a refusal, never a fault of ours."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from app.services.catalogue import Catalogue
from app.services.client_options import Options, changed
from app.services.errors import ServiceError
from app.settings import Settings
from app.web.openai import shapes as openai_shapes
from app.web.openai import translate as openai_translate
from app.web.sdapi import answer, beginning, shapes, translate
from tests.api.test_sdapi import picture

ODD: Any = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.sampled_from([64, 2**31, 2**63, 10**30, 10**400, -1.5, 0.5, 1e308, float("nan"), float("inf")]),
    st.sampled_from(["", "auto", "64x64", "\ud800", "Euler a", "DPM++ 2M Karras", "Latent", "x", "1", "-1", picture()]),
    st.lists(st.sampled_from([None, 1, "x", picture()]), max_size=2),
    st.dictionaries(
        st.sampled_from(["sd_model_checkpoint", "CLIP_stop_at_last_layers", "x"]),
        st.integers(-2, 3) | st.text() | st.just("\ud800"),
    ),
)


def bodies(shape: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(sorted(shape.model_fields)), ODD, max_size=5)


@pytest.fixture(scope="module")
def catalogue(bare_checkpoint: Any, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue(Settings(data=tmp_path_factory.mktemp("fuzz"), checkpoint=str(bare_checkpoint)))


@given(body=st.one_of(bodies(shapes.TextRequest), bodies(shapes.ImageRequest)))
@settings(max_examples=200, deadline=None)
def test_a1111s_fields(catalogue: Catalogue, body: dict[str, Any]) -> None:
    for shape in (shapes.TextRequest, shapes.ImageRequest, shapes.OneExtra):
        try:
            asked = shape.model_validate({"prompt": "a lake", **body})
            if isinstance(asked, shapes.PictureRequest):
                translate.with_infotext(asked)
                options = translate.options_of(catalogue, asked, Options())
                translated = translate.translate(catalogue, asked, options)
                assert translated.batch.count >= 1
                assert json.dumps(answer.echo(asked), ensure_ascii=False, allow_nan=False).encode()
        except (ValidationError, ServiceError):
            continue


@given(body=bodies(openai_shapes.PromptRequest))
@settings(max_examples=200, deadline=None)
def test_openais_fields(catalogue: Catalogue, body: dict[str, Any]) -> None:
    with suppress(ServiceError):
        asked = openai_shapes.read(openai_shapes.PromptRequest, {"prompt": "a lake", **body})
        checkpoint = openai_translate.checkpoint_of(catalogue, asked.model).name
        assert openai_translate.batch_of(asked, asked.prompt, checkpoint).count >= 1


@given(body=st.dictionaries(st.sampled_from(sorted(Options.model_fields)), ODD))
@settings(max_examples=100, deadline=None)
def test_a1111s_options(catalogue: Catalogue, body: dict[str, Any]) -> None:
    with suppress(ServiceError):
        assert changed(catalogue, Options(), body).jpeg_quality >= 1


@given(body=bodies(shapes.ImageRequest))
@settings(max_examples=15, deadline=None)
def test_what_img2img_begins_from(catalogue: Catalogue, body: dict[str, Any]) -> None:
    with suppress(ValidationError, ServiceError):
        asked = shapes.ImageRequest.model_validate({"prompt": "a lake", "init_images": [picture()], **body})
        (source,) = beginning.sources(asked, Options(), catalogue.default_request())
        assert source.edit.image
