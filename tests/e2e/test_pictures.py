"""What a user does, in a browser: ask for pictures, watch them, share them, come back."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from app.cli.local_server import LocalServer
from app.web.events import GATHER_SECONDS
from tests.e2e.conftest import PATIENCE_MS, NewContext

pytestmark = pytest.mark.browser
PROMPT = "mountains by the lake at sunset"
MANY_STEPS = "80"


def ask(page: Page, prompt: str, *, steps: str = "6", seed: str = "7") -> Locator:
    """Fill in the form and send it. Returns the newest card."""
    page.goto("/")
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_label("Steps", exact=True).fill(steps)
    page.get_by_label("Seed", exact=True).fill(seed)
    page.get_by_role("button", name="Generate").click()
    return page.locator("article.card").first


def be_done(card: Locator) -> None:
    expect(card).to_have_attribute("data-state", "done", timeout=PATIENCE_MS)
    picture = card.get_by_role("img")
    expect(picture).to_have_attribute("src", re.compile(r"/images/.+\.png"))
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("picture => picture.naturalWidth") == 128


def previews(card: Locator) -> set[str]:
    """Watch a card until it is done, and tell the previews that it showed."""
    return set(
        card.evaluate(
            """card => new Promise(resolve => {
                const seen = [];
                const look = () => {
                    const now = document.getElementById(card.id);
                    const source = now?.querySelector("img")?.getAttribute("src") ?? "";
                    if (source.includes("preview")) seen.push(source);
                    if (now?.dataset.state === "done") resolve(seen); else setTimeout(look, 20);
                };
                look();
            })"""
        )
    )


def test_a_prompt_becomes_a_picture_that_others_see_until_the_link_is_revoked(
    page: Page, new_context: NewContext
) -> None:
    card = ask(page, PROMPT, steps=MANY_STEPS)
    expect(card).to_have_attribute("data-state", re.compile("queued|running"))
    assert len(previews(card)) >= 2
    be_done(card)

    card.get_by_role("link", name="Share").click()
    page.get_by_role("button", name="Make a link").click()
    url = page.get_by_label("Here is the link").input_value()
    stranger = new_context().new_page()
    answer = stranger.goto(url)
    assert answer is not None
    assert answer.ok
    assert stranger.get_by_role("img", name="picture").first.evaluate("picture => picture.naturalWidth") == 128
    assert PROMPT not in stranger.content(), "the recipe was not shared"

    page.get_by_role("button", name=re.compile("Revoke")).click()
    expect(page.get_by_role("list", name="Links that work")).to_have_count(0)
    gone = stranger.goto(url)
    assert gone is not None
    assert gone.status == 404


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    page.goto("/")
    tab_to(page, "prompt")
    page.keyboard.press("ControlOrMeta+a")  # what was typed last is still there
    page.keyboard.type(PROMPT)
    tab_to(page, "Generate")
    page.keyboard.press("Enter")
    card = page.locator("article.card").first
    be_done(card)
    tab_to(page, "Open")
    page.keyboard.press("Enter")
    page.wait_for_url("**/images/*")
    expect(page.get_by_text(PROMPT, exact=True)).to_be_visible()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element with this id or text has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(
            "name => document.activeElement.id === name || document.activeElement.innerText.includes(name)", name
        ):
            return
    raise AssertionError(f"80 times Tab do not reach {name!r}")


def test_a_reload_and_a_new_tab_keep_the_cards(new_context: NewContext) -> None:
    page = new_context().new_page()
    card = ask(page, PROMPT, steps=MANY_STEPS)
    expect(card).to_have_attribute("data-state", "running")
    page.reload()
    expect(page.locator("article.card")).to_have_count(1)
    other = page.context.new_page()
    page.close()
    other.goto("/")
    be_done(other.locator("article.card").first)


def test_two_browsers_see_only_their_own(page: Page, new_context: NewContext) -> None:
    bob = new_context().new_page()
    alices = ask(page, "stars", seed="1")
    bobs = ask(bob, "a cabin", seed="2")
    be_done(alices)
    be_done(bobs)
    expect(page.locator("article.card")).to_have_count(1)
    path = bobs.get_by_role("link", name="Open").get_attribute("href")
    assert path is not None
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 404
    page.goto("/images")
    expect(page.get_by_role("main").get_by_role("img", name="stars")).to_have_count(1)
    expect(page.get_by_role("main").get_by_role("img", name="cabin")).to_have_count(0)


def test_a_script_that_comes_late_does_not_cost_the_live_updates(page: Page) -> None:
    def delay(route: Route) -> None:
        time.sleep(1)
        route.continue_()

    page.route("**/hx-sse*", delay)
    be_done(ask(page, PROMPT))


def test_an_answer_that_comes_late_does_not_undo_what_the_stream_has_shown(page: Page) -> None:
    def delay(route: Route) -> None:
        answer = route.fetch()
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not page.request.get("/api/images").json()["images"] and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(3 * GATHER_SECONDS)
        route.fulfill(response=answer)

    page.route("**/jobs", delay)
    be_done(ask(page, PROMPT))


def test_a_picture_can_be_cancelled_and_started_again(page: Page) -> None:
    card = ask(page, PROMPT, steps="100")
    card.get_by_role("button", name="Cancel").click()
    expect(card).to_have_attribute("data-state", "cancelled")
    card.get_by_role("button", name="Start again").click()
    be_done(page.locator("article.card").first)


def test_a_word_that_the_model_does_not_know_is_named(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Prompt", exact=True).press_sequentially("a zebra by the lake")
    expect(page.locator("#prompt-notes")).to_contain_text("zebra")


def test_it_works_without_scripts(new_context: NewContext) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto("/")
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("article.card")).to_have_count(1)


def test_nothing_is_left_of_a_deleted_picture(page: Page, server: LocalServer) -> None:
    card = ask(page, PROMPT)
    be_done(card)
    source = card.get_by_role("img").get_attribute("src")
    card.get_by_role("link", name="Open").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete for good").click()
    page.wait_for_url("**/images")
    answer = page.request.get(f"{server.url}{source}")
    assert answer.status == 404
