"""The pages in a real browser: what scripts and styles do, and what axe has to say."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import violations
from tests.pages.easel import Stand

pytestmark = pytest.mark.browser

PATIENCE_MS = 30_000
TARGET = 44  # pixels, the smallest side of what a finger should hit

expect.set_options(timeout=PATIENCE_MS)


def generate(page: Page, prompt: str = "a cabin by the lake") -> None:
    """Ask for one picture as a user would, and wait for it."""
    page.goto("/")
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".card[data-state=done]")).to_have_count(1)


def test_axe_finds_nothing_where_a_picture_is_shared_or_deleted(page: Page) -> None:
    """A link that was made, and a dialog: `tests/e2e/test_every_page.py` looks at the pages as they come."""
    generate(page)
    page.locator(".card .plate").click()
    page.get_by_label("the picture with its prompt and settings").check()
    page.get_by_role("button", name="Make a link").click()
    expect(page.get_by_label("Here is the link")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []


def test_a_long_word_makes_no_page_wider_than_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 780})
    generate(page, "lake" * 100)
    page.locator(".card .plate").click()
    wide = []
    for path in (urlsplit(page.url).path, "/images", "/"):
        page.goto(path)
        if path == "/":
            page.get_by_label("Prompt", exact=True).fill("lake" * 100)
            expect(page.locator("#prompt-notes strong")).to_be_visible()
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            wide.append(path)
    assert wide == []


def test_buttons_are_large_enough_for_a_finger(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 780})
    page.goto("/patterns")
    boxes = page.eval_on_selector_all(
        ".button, .icon-button, .segments label, .masthead a, .aspect",
        "all => all.filter(e => e.checkVisibility()).map(e => [e.className, e.getBoundingClientRect().height])",
    )
    assert len(boxes) > 30
    assert [name for name, height in boxes if height < TARGET] == []


def test_the_form_and_the_pictures_stand_side_by_side_where_there_is_room(page: Page) -> None:
    page.goto("/")
    form, results = page.locator(".studio-form"), page.locator(".studio-results")
    left, right = form.bounding_box(), results.bounding_box()
    assert left
    assert right
    assert left["x"] + left["width"] <= right["x"]
    expect(page.locator("details.settings")).to_have_attribute("open", "")
    page.set_viewport_size({"width": 360, "height": 780})
    page.reload()
    expect(page.locator("details.settings")).not_to_have_attribute("open", "")


def test_a_card_goes_through_its_states_without_a_reload(page: Page, stand: Stand) -> None:
    stand.engine.step_delay = 0.4
    page.goto("/")
    page.get_by_role("link", name="a cabin by the lake at dawn").click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cabin by the lake at dawn")
    page.keyboard.press("Control+Enter")
    card = page.locator(".card")
    expect(card).to_have_attribute("data-state", "running")
    picture = card.locator("img")
    expect(picture).to_have_attribute("src", re.compile(r"/preview\.png\?v="))
    first = picture.get_attribute("src")
    assert first
    picture.evaluate("image => { image.dataset.kept = 'yes' }")
    expect(picture).not_to_have_attribute("src", first)
    expect(card).to_have_attribute("data-state", "done")
    expect(picture).to_have_attribute("src", re.compile(r"^/images/.*\.png$"))
    box = picture.bounding_box()
    assert box
    assert abs(box["width"] - box["height"]) < 1
    page.reload()
    expect(page.locator(".card[data-state=done]")).to_have_count(1)


def test_the_element_of_the_preview_is_kept_so_that_nothing_flickers(page: Page, stand: Stand) -> None:
    stand.engine.step_delay = 0.3
    page.goto("/")
    page.get_by_label("Prompt", exact=True).fill("a lake")
    page.get_by_role("button", name="Generate").click()
    page.locator(".card img").wait_for()
    page.evaluate("window.picture = document.querySelector('.card img')")
    expect(page.locator(".card[data-state=done]")).to_have_count(1)
    assert page.evaluate("window.picture === document.querySelector('.card img')")


def test_cancelling_stops_the_card(page: Page, stand: Stand) -> None:
    stand.engine.step_delay = 1.0
    page.goto("/")
    page.get_by_label("Prompt", exact=True).fill("a lake")
    page.get_by_role("button", name="Generate").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".card[data-state=cancelled]")).to_have_count(1)
    page.get_by_role("button", name="Take off this list").click()
    expect(page.get_by_text("An untouched plate")).to_be_visible()


def test_unknown_words_are_named_while_typing(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Prompt", exact=True).press_sequentially("a dragon")
    expect(page.locator("#prompt-notes [role=status]")).to_have_text(
        "This model does not know dragon and will ignore it."
    )


def test_tokens_are_counted_while_typing(page: Page) -> None:
    page.goto("/")
    prompt, count = page.get_by_label("Prompt", exact=True), page.locator(".prompt-count")
    expect(count).to_have_text("0 / 75 tokens")
    prompt.fill("(mountains:1.3) by the lake")
    expect(count).to_have_text("4 / 75 tokens")
    prompt.fill("mountains BREAK lake")
    expect(count).to_have_text("76 / 150 tokens")
    assert "prompt-notes" in str(prompt.get_attribute("aria-describedby"))


def test_the_settings_of_a_second_pass_show_when_one_is_asked_for(page: Page) -> None:
    page.goto("/")
    page.locator("details.advanced > summary").click()
    strength = page.get_by_label("Second pass strength", exact=True)
    expect(strength).to_be_hidden()
    page.get_by_label("Enlarge afterwards").select_option("2 times")
    expect(strength).to_be_visible()


def test_the_dice_rolls_a_seed_and_the_lock_lets_it_go(page: Page) -> None:
    page.goto("/")
    seed, lock = page.get_by_label("Seed", exact=True), page.get_by_label("Keep this seed for the next pictures")
    page.get_by_role("button", name="Roll a seed").click()
    expect(seed).to_have_value(re.compile(r"^\d+$"))
    expect(lock).to_be_checked()
    lock.evaluate("box => box.click()")
    expect(seed).to_have_value("")


def test_a_size_is_picked_by_its_shape(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Wide").click()
    width, height = page.get_by_label("Width"), page.get_by_label("Height")
    assert int(width.input_value()) > int(height.input_value())
    expect(page.get_by_role("button", name="Wide")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Square")).to_have_attribute("aria-pressed", "false")


def test_eta_is_there_only_for_a_sampler_that_heeds_it(page: Page) -> None:
    page.goto("/")
    eta = page.get_by_role("spinbutton", name="Eta")
    expect(eta).to_be_visible()
    page.get_by_label("Sampler").select_option("heun")
    expect(eta).to_be_hidden()


def test_a_fault_is_shown_beside_its_field_which_takes_the_focus(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Prompt", exact=True).fill("a lake")
    page.locator("#recipe").evaluate("form => { form.noValidate = true }")
    page.get_by_role("spinbutton", name="Steps").fill("999")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#steps-fault")).to_be_visible()
    expect(page.locator("#steps")).to_be_focused()


def test_a_fault_in_what_is_folded_away_is_shown(page: Page) -> None:
    """Whether the browser finds it or the server, and in a setting that the others hide, too."""
    fold = "(all, open) => all.forEach((details) => { details.open = open })"
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto("/")
    page.get_by_label("Prompt", exact=True).fill("a lake")
    folded = page.locator("#recipe details")
    for name, wrong, right in (("width", "100", "64"), ("eta", "2", "0"), ("guidance_start", "3", "0.9")):
        field = page.locator(f"#{name}")
        folded.evaluate_all(fold, True)
        page.locator("#sampler").select_option("ddim")
        field.fill(wrong)
        page.locator("#sampler").select_option("heun")
        folded.evaluate_all(fold, False)
        page.get_by_role("button", name="Generate").click()
        expect(field).to_be_focused()
        expect(field).to_be_visible()
        field.fill(right)
    page.locator("#guidance_end").fill("0.1")
    folded.evaluate_all(fold, False)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#guidance_start-fault")).to_be_visible()
    expect(page.locator("#guidance_start")).to_be_focused()


def test_it_says_when_the_server_is_gone_and_no_longer_when_it_is_back(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto("/")
    page.get_by_label("Prompt", exact=True).fill("a lake")
    stream = page.locator("[hx-sse\\:connect]")
    stream.evaluate(
        "stream => { stream._htmx.sse.config.reconnectDelay = stream._htmx.sse.config.reconnectMaxDelay = 10 }"
    )
    silence, lost = page.get_by_text("The server does not answer."), page.get_by_text("Connection lost, trying again.")
    page.route("**/jobs", lambda route: route.abort())
    page.get_by_role("button", name="Generate").click()
    page.mouse.wheel(0, 2000)
    expect(silence).to_be_in_viewport(ratio=1)
    page.route("**/events*", lambda route: route.abort())
    stream.evaluate("stream => stream._htmx.sse.reader.cancel()")
    expect(lost).to_be_in_viewport(ratio=1)
    page.unroute_all()
    expect(lost).to_be_hidden()
    expect(silence).to_be_hidden()
    page.route(
        "**/jobs", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")
    )
    page.get_by_role("button", name="Generate").click()
    expect(silence).to_be_in_viewport(ratio=1)
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a lake")
    expect(page.get_by_text("Bad gateway")).to_have_count(0)
    page.unroute_all()
    page.get_by_role("button", name="Generate").click()
    expect(silence).to_be_hidden()


def test_a_phone_shows_what_it_asked_for_and_a_double_click_asks_once(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto("/")
    page.get_by_label("Prompt", exact=True).fill("a lake")
    page.get_by_role("button", name="Generate").dblclick()
    expect(page.locator(".card[data-state=done]")).to_be_in_viewport(ratio=0.5)
    page.reload()
    expect(page.locator(".card")).to_have_count(1)


def test_forced_colours_show_what_is_chosen(page: Page) -> None:
    page.emulate_media(forced_colors="active")
    page.goto("/")
    page.get_by_role("button", name="Roll a seed").click()
    for chosen in (
        ".segments label:has(:checked)",
        ".aspect[aria-pressed=true]",
        "nav [aria-current]",
        ".seed label:has(:checked)",
    ):
        expect(page.locator(chosen)).to_have_css("border-bottom-width", "3px")
    page.emulate_media(forced_colors="none")


def test_a_picture_is_deleted_after_a_dialog(page: Page) -> None:
    generate(page)
    page.locator(".card .plate").click()
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_role("link", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("Nothing on the walls yet")).to_be_visible()


def test_it_works_without_scripts(chromium: Browser, stand: Stand) -> None:
    context = chromium.new_context(base_url=stand.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    expect(page.get_by_role("button", name="Roll a seed")).to_be_hidden()
    page.get_by_label("Prompt", exact=True).fill("a lake")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".card")).to_have_count(1)
    context.close()
