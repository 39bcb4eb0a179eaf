"""What is typed into the studio stays in the browser, and yields to links that say what to make; in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.pages.test_pages_in_browser import generate

pytestmark = pytest.mark.browser
DRAFT = "JSON.parse(localStorage.getItem('studio-draft'))"


def write(page: Page) -> None:
    """Fill in something of every kind of field."""
    page.get_by_label("Prompt", exact=True).fill("a lake with a dragon")
    page.get_by_label("Leave out").fill("fog")
    page.locator("label:has(input[name=count][value='4'])").click()
    page.locator("#width").fill("256")
    page.locator("#steps").fill("9")
    page.locator("#sampler").select_option("euler")
    page.locator("#seed").fill("41")
    page.get_by_text("Advanced").click()
    page.get_by_label("Tile").check()


def expect_written(page: Page) -> None:
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a lake with a dragon")
    expect(page.get_by_label("Leave out")).to_have_value("fog")
    expect(page.locator("input[name=count]:checked")).to_have_value("4")
    expect(page.locator("#width")).to_have_value("256")
    expect(page.locator("#steps")).to_have_value("9")
    expect(page.locator("[data-mirrors=steps]")).to_have_value("9")
    expect(page.locator("#sampler")).to_have_value("euler")
    expect(page.locator("#seed")).to_have_value("41")
    expect(page.locator("[data-keeps=seed]")).to_be_checked()
    expect(page.get_by_label("Tile")).to_be_checked()
    expect(page.locator("details.advanced")).to_have_attribute("open", "")
    expect(page.get_by_role("button", name="Square")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#prompt-notes")).to_contain_text("dragon")


def test_it_is_there_after_a_reload_and_on_the_way_back(page: Page) -> None:
    page.goto("/")
    write(page)
    page.reload()
    expect_written(page)
    page.goto("about:blank")
    page.goto("/images")
    page.get_by_role("link", name="Studio").click()
    expect_written(page)


def test_it_is_there_before_the_page_is_painted(page: Page) -> None:
    """A frame that shows the empty form first would be a flash."""
    page.goto("/")
    write(page)
    page.add_init_script("""
        requestAnimationFrame(function look() {
            const prompt = document.getElementById("prompt");
            if (!prompt) return requestAnimationFrame(look);
            window.first = prompt.value;
        });
    """)
    page.goto("/images")
    page.goto("/")
    page.wait_for_timeout(50)
    assert page.evaluate("window.first") == "a lake with a dragon"


def test_it_goes_nowhere_but_into_this_browser(page: Page) -> None:
    asked: list[str] = []
    page.goto("/")
    write(page)
    page.on("request", lambda request: asked.append(request.url + (request.post_data or "")))
    page.reload()
    expect_written(page)
    told = [url for url in asked if "fog" in url]
    assert all("/prompt/check" in url for url in told), "more than while it was typed"
    assert all(cookie["name"] != "studio-draft" for cookie in page.context.cookies())


def test_a_link_that_says_what_to_make_wins_and_takes_nothing_away(page: Page) -> None:
    generate(page)
    write(page)
    for link in ("/?prompt=a+cabin", "a"):
        if link == "a":
            page.goto("/")
            page.get_by_role("link", name="Use these settings").click()
        else:
            page.goto(link)
        expect(page.get_by_label("Leave out")).to_have_value("")
        expect(page.locator("#steps")).not_to_have_value("9")
        page.goto("/")
        expect_written(page)
    page.goto("/?prompt=a+cabin")
    page.get_by_label("Leave out").fill("rain")
    page.reload()
    expect(page.get_by_label("Leave out")).to_have_value("rain")
    page.goto("/?prompt=a+cabin")
    expect(page.get_by_label("Leave out")).to_have_value("")
    page.goto("/")
    expect(page.get_by_label("Leave out")).to_have_value("rain")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cabin")


def test_starting_afresh_forgets_it(page: Page) -> None:
    page.goto("/")
    write(page)
    page.get_by_role("link", name="Start afresh").press("Enter")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("")
    expect(page.locator("#steps")).to_have_value("6")
    expect(page.get_by_label("Tile")).not_to_be_checked()
    assert page.evaluate(DRAFT) is None
    page.reload()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("")


def test_a_form_that_begins_from_a_picture_is_not_kept_without_it(page: Page) -> None:
    generate(page)
    write(page)
    image = page.request.get("/api/images").json()["images"][0]["id"]
    made = page.request.post("/api/jobs", data={"prompt": "a lake", "image": image, "strength": 0.5, "steps": 4})
    page.goto(f"/?job={made.json()['jobs'][0]['id']}")
    page.get_by_label("Leave out").fill("rain")
    page.goto("/")
    expect_written(page)


def test_of_another_checkpoint_only_the_words_are_taken(page: Page) -> None:
    """As its steps, size and sampler suit that one; it is no longer there."""
    page.goto("/")
    write(page)
    page.evaluate("""() => {
        const draft = JSON.parse(sessionStorage.getItem("studio-draft"));
        draft.fields.checkpoint = "gone";
        sessionStorage.setItem("studio-draft", JSON.stringify(draft));
    }""")
    page.goto("/images")
    page.goto("/")
    expect(page.get_by_label("Leave out")).to_have_value("fog")
    expect(page.locator("#steps")).to_have_value("6")


def test_two_tabs_keep_their_own(page: Page) -> None:
    page.goto("/")
    write(page)
    with page.expect_popup() as opened:
        page.evaluate("void open('/', '_blank', 'noopener')")
    other = opened.value
    expect_written(other)
    other.get_by_label("Leave out").fill("rain")
    page.reload()
    expect_written(page)
    other.close()
