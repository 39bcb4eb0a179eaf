"""A picture that is dropped fills the form; a selection comes as one zip."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path

import httpx2
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

from app.cli import inspect as command
from app.metadata.png import encode_png
from app.metadata.read import read
from app.settings import Settings
from tests.api.asking import finished
from tests.app.storing import recipe
from tests.pages.easel import Stand

FOREIGN = (
    "a lake\nNegative prompt: fog\nSteps: 9, Sampler: UniPC, CFG scale: 4.5, Seed: 42, Size: 128x64, "
    "Model hash: 0123456789, Model: dreams, ADetailer model: face, Version: v1.10.1"
)
DROP = """([text, kind]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "found.png", { type: "image/png" }));
  const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
    : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def ours() -> bytes:
    return encode_png(bytes(64 * 64 * 3), 64, 64, recipe(prompt="a tent", checkpoint="bare"), {"version": "0"})


@pytest.fixture(scope="module")
def foreign() -> bytes:
    info, out = PngInfo(), io.BytesIO()
    info.add_text("parameters", FOREIGN)
    Image.new("RGB", (128, 64)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_that_is_dropped_or_pasted_fills_the_form(page: Page, foreign: bytes, kind: str) -> None:
    page.goto("/")
    expect(page.get_by_role("button", name="Use its settings")).to_be_hidden()
    page.evaluate(DROP, [base64.b64encode(foreign).decode(), kind])
    expect(page.get_by_role("button", name="Edit it on the canvas")).to_be_visible()
    expect(page.get_by_role("button", name="Use its settings")).to_be_focused()
    page.keyboard.press("Enter")
    panel = page.locator("#inspected")
    expect(panel.get_by_role("heading", name="Made with AUTOMATIC1111")).to_be_visible()
    expect(panel).to_contain_text("There is no 'UniPC' here")
    expect(panel).to_contain_text("dreams is not here")
    panel.get_by_text("1 setting that is not known here").click()
    expect(panel).to_contain_text("ADetailer model")
    for name, value in (
        ("prompt", "a lake"),
        ("steps", "9"),
        ("seed", "42"),
        ("guidance_scale", "4.5"),
        ("width", "128"),
    ):
        expect(page.locator(f"#recipe [name={name}]").first).to_have_value(value)


@pytest.mark.browser
def test_the_other_choice_is_the_canvas(page: Page, ours: bytes) -> None:
    page.goto("/")
    page.locator("#drop-file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": ours})
    page.get_by_role("button", name="Edit it on the canvas").click()
    page.wait_for_url("**/canvas/*")


@pytest.mark.browser
def test_what_is_no_picture_is_refused_in_place_and_put_away(page: Page) -> None:
    page.goto("/")
    prompt, canvas = page.get_by_label("Prompt", exact=True), page.get_by_role("button", name="Edit it on the canvas")
    prompt.fill("a lake")
    page.evaluate(DROP.replace("image/png", "text/plain"), ["", "drop"])
    expect(page.get_by_text("That is no picture.")).to_be_visible()
    page.locator("#drop-file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"hello"})
    canvas.click()
    expect(page.get_by_text("This is no PNG, JPEG or WebP file.")).to_be_visible()
    expect(prompt).to_have_value("a lake")
    page.get_by_role("button", name="Put it away").press("Enter")
    expect(canvas).to_be_hidden()
    expect(page.get_by_text("This is no PNG, JPEG or WebP file.")).to_be_hidden()
    expect(page.locator("#drop-file")).to_be_focused()


def test_without_scripts_the_whole_page_comes_filled(alice: TestClient, ours: bytes) -> None:
    page = alice.post("/inspect", files={"file": ("a.png", ours, "image/png")})
    assert page.status_code == 200
    assert "Made with Mezzotint" in page.text
    assert ">a tent</textarea>" in page.text


def test_what_is_no_picture_is_refused(alice: TestClient) -> None:
    for files in ({"file": ("a.png", b"hello", "image/png")}, {}):
        response = alice.post("/inspect", files=files, data={"x": "1"})
        assert response.status_code == 422
        assert response.json()["error"]["fields"][0]["field"] == "file"


def test_a_picture_that_says_nothing_says_so(alice: TestClient) -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG")
    page = alice.post("/inspect", files={"file": ("a.jpg", out.getvalue(), "image/jpeg")}).text
    assert "This picture does not say how it was made" in page


def test_the_command_prints_the_same(
    settings: Settings, tmp_path: Path, foreign: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "found.png").write_bytes(foreign)
    (tmp_path / "none.txt").write_text("hello")
    flags = ["--data", str(settings.data), "--checkpoint", settings.checkpoint]
    assert command.main([str(tmp_path / "found.png"), str(tmp_path / "none.txt"), *flags]) == 1
    said = capsys.readouterr()
    assert "made with AUTOMATIC1111" in said.out
    assert "    seed: 42\n" in said.out
    assert "    ADetailer model: face\n" in said.out
    assert "sampler: There is no 'UniPC' here" in said.out
    assert "none.txt" in said.err


@pytest.mark.browser
def test_a_selection_is_downloaded_by_keyboard(page: Page, stand: Stand) -> None:
    page.goto("/")
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    with httpx2.Client(base_url=stand.url, cookies=cookies, verify=False) as browser:
        for seed in (1, 2):
            finished(browser, seed=seed)
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto("/images")
    bar = page.get_by_role("form", name="Selected pictures")
    expect(bar).to_be_hidden()
    for box in page.get_by_role("checkbox").all():
        box.focus()
        page.keyboard.press("Space")
    expect(bar).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    bar.get_by_role("combobox").select_option("webp")
    with page.expect_download() as download:
        bar.get_by_role("button", name="Download selected").press("Enter")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 2
        reading = read(archive.read(archive.namelist()[0]))
    assert reading is not None
    assert (reading.kind, reading.recipe is not None) == ("webp", True)


def test_a_stranger_gets_nothing_of_a_selection(alice: TestClient, charlie: TestClient) -> None:
    image_id = finished(alice)["image"]["id"]
    assert charlie.post("/images/zip", data={"image": image_id}).status_code == 404
    mixed = alice.post("/images/zip", data={"image": [image_id, "nothing"], "format": "jpeg"})
    with zipfile.ZipFile(io.BytesIO(mixed.content)) as archive:
        assert archive.namelist() == [f"mezzotint-{image_id}.jpg"]
    for data in ({}, {"image": image_id, "format": "gif"}, {"image": [image_id] * 201}):
        assert alice.post("/images/zip", data=data).status_code == 422


@pytest.mark.parametrize(("ending", "kind"), [("png", "png"), ("jpg", "jpeg"), ("webp", "webp")])
def test_every_kind_of_file_is_there_with_and_without_its_recipe(alice: TestClient, ending: str, kind: str) -> None:
    image_id = finished(alice)["image"]["id"]
    for query, has_recipe in (("", True), ("?recipe=no", False)):
        response = alice.get(f"/images/{image_id}.{ending}{query}")
        assert response.headers["content-type"] == f"image/{kind}"
        assert f'filename="mezzotint-{image_id}.{ending}"' in response.headers["content-disposition"]
        reading = read(response.content)
        assert reading is not None
        assert (reading.kind, reading.recipe is not None) == (kind, has_recipe)
        assert reading.source_type == "trainedAlgorithmicMedia"
