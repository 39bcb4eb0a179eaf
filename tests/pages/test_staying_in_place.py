"""The pages in a real browser: what somebody has there stays, and stays true, whatever comes and goes around it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.pages.easel import Stand
from tests.pages.test_pages_in_browser import generate

pytestmark = pytest.mark.browser


def test_the_focus_goes_to_the_next_when_a_card_leaves_the_list(page: Page, stand: Stand) -> None:
    page.goto("/")
    page.get_by_label("Prompt", exact=True).fill("a lake")
    page.get_by_role("radio", name="2").check()
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".card[data-state=done]")).to_have_count(2)
    off = page.get_by_role("button", name="Take off this list")
    off.first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(1)
    expect(off).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="An untouched plate")).to_be_focused()
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".card[data-state=done]")).to_have_count(2)
    stand.engine.step_delay = 1.0
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".card")).to_have_count(4)
    page.get_by_role("button", name="Clear finished").press("Enter")
    expect(page.get_by_role("heading", name="Latest")).to_be_focused()
    cancel = page.get_by_role("button", name="Cancel")
    for count in (2, 1):
        expect(cancel).to_have_count(count)
        cancel.first.click()


def test_a_new_link_stays_in_sight_until_it_is_revoked_itself(page: Page) -> None:
    generate(page)
    page.locator(".card .plate").click()
    link, revoke = page.get_by_label("Here is the link"), page.get_by_role("button", name=re.compile("Revoke"))
    for count in (1, 2):
        page.get_by_role("button", name="Make a link").click()
        expect(revoke).to_have_count(count)
    made = link.input_value()
    revoke.first.press("Enter")
    expect(revoke).to_have_count(1)
    expect(revoke).to_be_focused()
    expect(link).to_have_value(made)
    revoke.press("Enter")
    expect(link).to_have_count(0)
    expect(page.get_by_role("list", name="Links that work")).to_have_count(0)
    expect(page.get_by_role("heading", name="Share")).to_be_focused()
