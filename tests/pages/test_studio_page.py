"""The studio: its form with and without scripts, and its cards."""

from __future__ import annotations

import re
from html import unescape

import pytest
from starlette.testclient import TestClient

from app.web import dependencies
from tests.api.asking import finished, post, wait_for
from tests.app.fake_engine import FakeEngine

HTMX = {"HX-Request": "true", "HX-Request-Type": "partial"}
FORM = {"prompt": "a cabin by the lake", "steps": "3", "width": "64", "height": "64", "count": "1"}
CARD = re.compile(r'<article id="job-([^"]+)" class="card" data-state="([a-z]+)"')


def value_of(html: str, name: str) -> str:
    """Return what the form's field of this name holds."""
    area = re.search(rf'<textarea id="{name}".*?>(.*?)</textarea>', html, re.DOTALL)
    field = area or re.search(rf'<input[^>]* id="{name}"[^>]* value="([^"]*)"', html)
    assert field, f"there is no field {name}"
    return unescape(field.group(1))


def cards(browser: TestClient) -> list[tuple[str, str]]:
    """Return id and state of each card, from top to bottom."""
    return CARD.findall(browser.get("/").text)


def test_it_begins_with_the_defaults_of_the_checkpoint_and_an_empty_wall(alice: TestClient) -> None:
    page = alice.get("/").text
    assert (value_of(page, "steps"), value_of(page, "guidance_scale")) == ("6", "3")
    assert (value_of(page, "width"), value_of(page, "height")) == ("128", "128")
    assert value_of(page, "prompt") == value_of(page, "seed") == ""
    assert "An untouched plate" in page


def test_it_says_what_the_model_knows_and_offers_examples(alice: TestClient) -> None:
    page = alice.get("/").text
    assert "mountains, lake, cabin" in page
    assert page.count("data-example") == 5
    assert value_of(alice.get("/?prompt=a+cabin").text, "prompt") == "a cabin"


def test_a_form_without_scripts_is_redirected_to_the_studio_with_its_settings(alice: TestClient) -> None:
    response = alice.post("/jobs", data=FORM, follow_redirects=False)
    assert response.status_code == 303
    page = alice.get(response.headers["location"]).text
    assert (value_of(page, "prompt"), value_of(page, "steps"), value_of(page, "seed")) == (FORM["prompt"], "3", "")
    assert len(CARD.findall(page)) == 1


def test_a_given_seed_is_used_and_stays(alice: TestClient) -> None:
    response = alice.post("/jobs", data={**FORM, "seed": "41"}, follow_redirects=False)
    page = alice.get(response.headers["location"]).text
    assert value_of(page, "seed") == "41"
    assert 'data-seed="41"' in page


def test_under_htmx_it_answers_with_the_form_and_leaves_the_cards_to_the_stream(alice: TestClient) -> None:
    response = alice.post("/jobs", data={**FORM, "count": "2"}, headers=HTMX)
    assert response.status_code == 200
    assert response.text.startswith('<form id="recipe"')
    assert CARD.findall(response.text) == []
    assert len(cards(alice)) == 2


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("prompt", ""),
        ("steps", "0"),
        ("steps", "many"),
        ("guidance_scale", "nan"),
        ("width", "65"),
        ("height", "99999"),
        ("seed", "a lot"),
        ("sampler", "magic"),
        ("count", "9"),
        ("checkpoint", "elsewhere"),
    ],
)
def test_a_wrong_field_is_named_beside_it_and_nothing_is_queued(
    alice: TestClient, headers: dict[str, str], name: str, wrong: str
) -> None:
    response = alice.post("/jobs", data={**FORM, name: wrong}, headers=headers)
    assert response.status_code == 422
    assert f'id="{name}-fault"' in response.text
    assert ("<!doctype html>" in response.text) == (not headers)
    assert cards(alice) == []


def test_a_rejected_form_comes_back_as_it_was_sent(alice: TestClient) -> None:
    page = alice.post("/jobs", data={**FORM, "steps": "900", "negative_prompt": "fog & rain"}).text
    assert (value_of(page, "steps"), value_of(page, "negative_prompt")) == ("900", "fog & rain")


def test_unknown_words_are_named_while_typing_and_after_posting(alice: TestClient) -> None:
    prompt = {"prompt": "a dragon by the lake"}
    noted = "does not know <strong>dragon</strong> and will ignore it"
    assert noted in alice.post("/prompt/check", data=prompt, headers=HTMX).text
    assert noted in alice.post("/jobs", data={**FORM, **prompt}, headers=HTMX).text
    assert "does not know" not in alice.post("/prompt/check", data={"prompt": "a lake"}, headers=HTMX).text


def test_tokens_are_counted_as_the_web_ui_counts(alice: TestClient) -> None:
    def count(prompt: str) -> str:
        page = alice.post("/prompt/check", data={"prompt": prompt}, headers=HTMX).text
        found = re.search(r'class="prompt-count"[^>]*>(.*?)</p>', page, re.DOTALL)
        assert found, page
        return " ".join(re.sub(r"<[^>]+>", "", found[1]).split())

    assert count("") == "0 / 75 tokens"
    assert count("((mountains)) by the (lake:1.2)") == "4 / 75 tokens"
    assert count("lake " * 76) == "76 / 150 tokens"
    assert count("a BREAK " * 20 + "a") == "1501 of at most 1500 tokens"
    assert count("lake " * 150_000) == count("lake " * 1600), "no further than a prompt may reach"


def test_a_small_model_says_that_it_learned_short_prompts(alice: TestClient) -> None:
    said = "learned prompts of up to 75 tokens"
    assert said in alice.post("/prompt/check", data={"prompt": "lake " * 76}, headers=HTMX).text
    assert said not in alice.post("/prompt/check", data={"prompt": "lake " * 75}, headers=HTMX).text


ADVANCED = {
    "sampler": "dpmpp_2m",
    "scheduler": "karras",
    "subseed": "9",
    "subseed_strength": "0.25",
    "guidance_start": "0.1",
    "guidance_end": "0.75",
    "clip_skip": "1",
    "tiling": "true",
    "hires_scale": "1.5",
    "hires_upscaler": "lanczos",
    "hires_strength": "0.5",
}


def test_what_is_set_under_advanced_is_asked_for_and_stays(alice: TestClient) -> None:
    response = alice.post("/jobs", data={**FORM, **ADVANCED, "seed": "41", "hires_steps": ""}, follow_redirects=False)
    recipe = alice.get(f"/api/jobs/{response.headers['location'].split('=')[1]}").json()["recipe"]
    assert (recipe["sampler"], recipe["scheduler"], recipe["tiling"]) == ("dpmpp_2m", "karras", True)
    assert (recipe["seed"], recipe["subseed"], recipe["subseed_strength"]) == (41, 9, 0.25)
    assert recipe["hires"] == {"scale": 1.5, "upscaler": "lanczos", "strength": 0.5, "steps": None}
    page = alice.get(response.headers["location"]).text
    assert (recipe["guidance_start"], recipe["guidance_end"]) == (0.1, 0.75)
    for name in ("subseed", "subseed_strength", "guidance_start", "guidance_end", "clip_skip", "hires_strength"):
        assert value_of(page, name) == ADVANCED[name]
    for chosen in ("dpmpp_2m", "karras", "1.5", "lanczos"):
        assert f'<option value="{chosen}" selected>' in page
    assert 'name="tiling" value="true" checked' in page
    assert '<details class="advanced" open>' in page


def test_a_form_that_asks_for_no_second_pass_may_carry_its_settings(alice: TestClient) -> None:
    fields = {**FORM, "hires_scale": "", "hires_upscaler": "latent", "hires_strength": "0.7", "hires_steps": ""}
    response = alice.post("/jobs", data=fields, follow_redirects=False)
    assert response.status_code == 303
    page = alice.get(response.headers["location"]).text
    assert '<details class="advanced">' in page


def test_a_fault_under_advanced_opens_it(alice: TestClient) -> None:
    page = alice.post("/jobs", data={**FORM, "clip_skip": "13"}, headers=HTMX)
    assert page.status_code == 422
    assert '<details class="advanced" open>' in page.text
    assert 'id="clip_skip-fault"' in page.text


def test_a_prompt_is_never_markup(alice: TestClient) -> None:
    alice.post("/jobs", data={**FORM, "prompt": '<script>alert(1)</script>"><img src=x>'})
    page = alice.get("/").text
    assert "<script>alert" not in page
    assert "<img src=x>" not in page


def test_settings_are_taken_from_a_job_and_from_an_image(alice: TestClient) -> None:
    job = finished(alice, seed=77, negative_prompt="fog")
    for query in (f"job={job['id']}", f"image={job['image']['id']}"):
        page = alice.get(f"/?{query}").text
        assert (value_of(page, "seed"), value_of(page, "negative_prompt")) == ("77", "fog")


def test_a_stranger_cannot_take_them(alice: TestClient, charlie: TestClient) -> None:
    job = finished(alice)
    assert charlie.get(f"/?job={job['id']}").status_code == 404
    assert charlie.get(f"/?image={job['image']['id']}").status_code == 404
    assert cards(charlie) == []


def test_a_card_is_cancelled_started_again_and_taken_off(alice: TestClient, engine: FakeEngine) -> None:
    engine.step_delay = 0.2
    job = post(alice)["jobs"][0]["id"]
    assert alice.post(f"/jobs/{job}/cancel", follow_redirects=False).status_code == 303
    wait_for(alice, job, "cancelled")
    assert alice.post(f"/jobs/{job}/retry", headers=HTMX).status_code == 204
    assert cards(alice)[0][1] in ("queued", "running")
    card = alice.post(f"/jobs/{job}/cancel", headers=HTMX).text
    assert card.startswith(f'<article id="job-{job}"')
    wait_for(alice, job, "cancelled")
    assert "An untouched plate" in alice.post(f"/jobs/{job}/dismiss", headers=HTMX).text


@pytest.mark.parametrize("action", ["cancel", "retry", "dismiss"])
def test_a_stranger_cannot_touch_a_card(alice: TestClient, charlie: TestClient, action: str) -> None:
    job = finished(alice)
    assert charlie.post(f"/jobs/{job['id']}/{action}").status_code == 404
    assert cards(alice) == [(job["id"], "done")]


def test_finished_cards_are_cleared_and_their_images_stay(alice: TestClient) -> None:
    job = finished(alice)
    assert alice.post("/jobs/clear", follow_redirects=False).headers["location"] == "/"
    assert cards(alice) == []
    assert alice.get(f"/images/{job['image']['id']}").status_code == 200


def test_a_failed_card_says_why_and_offers_another_try(alice: TestClient, engine: FakeEngine) -> None:
    engine.fail_with = {"code": "numerical", "message": "The picture came out as nothing."}
    wait_for(alice, post(alice)["jobs"][0]["id"], "failed")
    page = alice.get("/").text
    assert "The picture came out as nothing." in page
    assert "Try again" in page


@pytest.mark.parametrize(
    ("state", "words"), [("loading", "Loading the model"), ("failed", "no weights"), ("ready", "hidden")]
)
def test_it_says_how_the_engine_is(
    alice: TestClient, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, state: str, words: str
) -> None:
    engine.state, engine.error = state, "unet has no weights" if state == "failed" else None
    monkeypatch.setattr(dependencies, "STATUS_SECONDS", -1.0)
    assert words in alice.get("/engine").text
