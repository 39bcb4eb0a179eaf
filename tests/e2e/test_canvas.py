"""A picture is edited on the canvas, with networks that really paint: what is not masked stays as it is."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Page, expect

from models.edit import Edit
from tests.e2e.conftest import Exhibit

pytestmark = pytest.mark.browser
GROWN = Edit.model_fields["grow"].default  # pixels that are repainted around the mask


def fetched(page: Page, image_id: str) -> Image.Image:
    return Image.open(io.BytesIO(page.request.get(f"/images/{image_id}.png").body())).convert("RGB")


def test_only_what_is_masked_is_painted_anew(owned: Page, exhibit: Exhibit) -> None:
    page = owned
    page.goto(f"/images/{exhibit.image_id}")
    page.get_by_role("button", name="Edit on the canvas").click()
    expect(page.locator("[data-canvas]")).to_have_attribute("data-state", "ready")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("mountains by the lake")

    page.keyboard.press("r")
    picture = page.locator(".canvas-frame").bounding_box()
    assert picture is not None
    scale = picture["width"] / 128
    page.mouse.move(picture["x"] + 40 * scale, picture["y"] + 48 * scale)
    page.mouse.down()
    page.mouse.move(picture["x"] + 88 * scale, picture["y"] + 80 * scale, steps=3)
    page.mouse.up()
    page.get_by_role("spinbutton", name="Strength").fill("1")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".canvas-tiles [data-state=done]")).to_have_count(1)
    page.get_by_role("button", name="Accept").click()
    expect(page.locator("[data-walk] li")).to_have_count(2)

    href = page.get_by_role("link", name="Open the picture").get_attribute("href")
    assert href is not None
    before, after = fetched(page, exhibit.image_id), fetched(page, href.rpartition("/")[2])
    changed = ImageChops.difference(before, after).getbbox()
    assert changed is not None, "nothing was painted"
    left, top, right, bottom = changed
    assert left >= 40 - GROWN
    assert top >= 48 - GROWN
    assert right <= 88 + GROWN
    assert bottom <= 80 + GROWN
    assert (right - left) * (bottom - top) > 30 * 20
