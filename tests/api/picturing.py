"""Pictures as strangers send them."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image
from starlette.testclient import TestClient


def file(size: tuple[int, int] = (96, 80), color: Any = (40, 90, 160), kind: str = "PNG", **how: Any) -> bytes:
    """A picture of one colour."""
    return encoded(Image.new("RGB", size, color), kind, **how)


def mask(size: tuple[int, int] = (96, 80), box: tuple[int, int, int, int] | None = (16, 16, 48, 48)) -> bytes:
    """A mask whose `box` is white."""
    image = Image.new("L", size, 0)
    if box is not None:
        image.paste(255, box)
    return encoded(image)


def encoded(image: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **how)
    return content.getvalue()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def uploaded(browser: TestClient, content: bytes | None = None) -> dict[str, Any]:
    """Upload a picture and return the image that it became."""
    response = browser.post("/api/images", content=content or file(), headers={"content-type": "image/png"})
    assert response.status_code == 201, response.text
    image: dict[str, Any] = response.json()
    return image
