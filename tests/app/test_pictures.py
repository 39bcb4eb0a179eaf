"""Strangers' pictures: what is taken is decoded within limits and written anew, everything else is refused."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from app.metadata.chunks import SIGNATURE
from app.metadata.png import term_of_edit
from app.metadata.xmp import TRAINED, packet
from app.services import pictures
from app.services.errors import InvalidInput, ServiceError
from tests.api.picturing import encoded, file, mask, opened, text

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'


def bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A PNG of a few hundred bytes that says it is huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "blue")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (SVG, "no PNG, JPEG or WebP"),
        (animated("GIF"), "no PNG, JPEG or WebP"),
        (animated("PNG"), "Animated"),
        (animated("WEBP"), "Animated"),
        (bomb(), "16.8 million pixels"),
        (file()[:-40], "damaged"),
        (file(kind="JPEG")[:300], "damaged"),
        (SIGNATURE + b"nothing more", "no PNG, JPEG or WebP"),
    ],
    ids=["empty", "svg", "gif", "apng", "animated webp", "bomb", "cut png", "cut jpeg", "only a signature"],
)
def test_it_refuses_what_is_no_single_whole_picture(content: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refusal:
        pictures.shrunk_image(content, "file")
    assert refusal.value.errors[0]["field"] == "file"


def test_it_refuses_a_file_of_too_many_bytes_without_looking_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", pytest.fail)
    with pytest.raises(InvalidInput, match="20,971,521 bytes"):
        pictures.image(bytes(pictures.MAX_BYTES + 1), "file")


def test_a_decoder_that_exceeds_its_memory_is_a_refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    greedy = tmp_path / "greedy.py"
    source = pictures.PROGRAM.read_text("utf-8").replace("MEMORY_BYTES = 2**30", "MEMORY_BYTES = 2**27")
    greedy.write_text(source.replace("opened.load()", "opened.load(); bytearray(2**27)"))
    monkeypatch.setattr(pictures, "PROGRAM", greedy)
    with pytest.raises(InvalidInput, match=r"memory"):
        pictures.image(file(), "file")


def test_a_decoder_that_takes_too_long_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import sys; sys.stdin.read()")
    monkeypatch.setattr(pictures, "PROGRAM", slow)
    monkeypatch.setattr(pictures, "CHILD_SECONDS", 0.0)
    with pytest.raises(InvalidInput, match="too long"):
        pictures.image(file(), "file")


def test_a_flood_of_pictures_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_line", threading.BoundedSemaphore(1))
    with pictures._turn(), pytest.raises(ServiceError, match="try again soon") as refusal:
        pictures.image(file(), "file")
    assert (refusal.value.status, refusal.value.retry_after) == (503, 5)
    assert pictures.image(file(), "file").width == 96, "its place is free again"


def test_the_decoder_has_hard_limits() -> None:
    code = (
        "import resource, sys, runpy; sys.argv = ['x', '{\"is_mask\": false}']; "
        f"runpy.run_path({str(pictures.PROGRAM)!r}, run_name='__main__'); sys.stdout.flush(); "
        "print(resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU))"
    )
    ran = subprocess.run([sys.executable, "-c", code], input=SVG, capture_output=True, check=True)
    assert ran.stdout.endswith(b"(1073741824, 1073741824) (10, 10)\n")


def test_it_turns_a_photograph_upright_and_drops_what_it_says_of_its_maker() -> None:
    photo = Image.new("RGB", (20, 10), "red")
    photo.paste("blue", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"  # turn right; the maker
    taken = pictures.image(encoded(photo, "JPEG", exif=exif, quality=95), "file")
    kept = opened(taken.png)
    assert kept.size == (10, 20)
    assert kept.getpixel((5, 2)) > (0, 0, 200), "what was left is above"  # type: ignore[operator]
    assert not kept.getexif()
    assert b"camera" not in taken.png


def test_it_brings_colours_to_srgb() -> None:
    red, green = (230, 20, 20), (20, 230, 20)
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for old, new in ((b"rXYZ", b"----"), (b"gXYZ", b"rXYZ"), (b"----", b"gXYZ")):
        swapped = swapped.replace(old, new)  # a space whose first light is green
    taken = opened(pictures.image(encoded(Image.new("RGB", (8, 8), red), icc_profile=swapped), "file").png)
    plain = opened(pictures.image(encoded(Image.new("RGB", (8, 8), red), icc_profile=b"no profile"), "file").png)
    found = taken.getpixel((0, 0))
    assert isinstance(found, tuple)
    assert all(abs(a - b) <= 2 for a, b in zip(found, green, strict=True))
    assert plain.getpixel((0, 0)) == red, "a broken profile is left out of account"
    assert "icc_profile" not in taken.info
    assert "icc_profile" not in plain.info


def test_it_keeps_transparency_only_where_there_is_some() -> None:
    clear = Image.new("RGBA", (8, 8), (1, 2, 3, 255))
    assert opened(pictures.image(encoded(clear), "file").png).mode == "RGB"
    clear.putpixel((0, 0), (1, 2, 3, 9))
    assert opened(pictures.image(encoded(clear), "file").png).mode == "RGBA"


def test_sixteen_bits_of_grey_become_eight() -> None:
    deep = Image.frombytes("I;16", (2, 1), struct.pack("<HH", 0x8000, 0xFFFF))
    assert opened(pictures.image(encoded(deep), "file").png).tobytes() == bytes([128] * 3 + [255] * 3)


def test_it_makes_an_upload_smaller_and_refuses_to_do_so_to_what_has_a_mask() -> None:
    large = encoded(Image.new("L", (2100, 300), 90))
    assert (pictures.shrunk_image(large, "file").width, pictures.shrunk_image(large, "file").height) == (2048, 292)
    with pytest.raises(InvalidInput, match=r"2100 x 300.*POST /api/images"):
        pictures.image(large, "image")


def test_it_keeps_the_mark_of_synthetic_media_and_nothing_else_of_the_metadata() -> None:
    marked = file(kind="WEBP", xmp=packet(TRAINED).replace("Mezzotint", "Somebody").encode())
    taken = pictures.image(marked, "file")
    assert term_of_edit(taken.png) == TRAINED
    assert b"Somebody" not in taken.png


def test_a_mask_is_grey_and_what_is_transparent_in_it_is_kept() -> None:
    drawn = Image.new("RGBA", (16, 8), (255, 255, 255, 0))
    drawn.paste((255, 255, 255, 255), (0, 0, 4, 8))
    taken = pictures.mask(encoded(drawn), "mask", 16, 8)
    grey = opened(taken.png)
    assert (grey.mode, grey.getbbox(), taken.is_blank) == ("L", (0, 0, 4, 8), False)
    assert pictures.mask(mask((16, 8), None), "mask", 16, 8).is_blank


def test_a_mask_of_another_size_is_refused_with_both_sizes_or_scaled_if_asked() -> None:
    with pytest.raises(InvalidInput, match=r"16 x 8, the picture 32 x 24"):
        pictures.mask(mask((16, 8), None), "mask", 32, 24)
    scaled = pictures.mask(mask((16, 8), (0, 0, 16, 8)), "mask", 32, 24, is_scaled=True)
    assert opened(scaled.png).size == (32, 24)


def test_base64_and_data_uris_are_read_alike() -> None:
    content = text(b"some bytes")
    assert pictures.from_base64(content, "image") == pictures.from_base64(f"data:image/png;base64,{content}", "image")
    for wrong in ("data:image/png,plain", "not base64!", "YWJ"):
        with pytest.raises(InvalidInput, match="image:"):
            pictures.from_base64(wrong, "image")


def test_the_same_pixels_have_the_same_hash_whatever_file_they_came_in() -> None:
    image = Image.new("RGB", (8, 8), "teal")
    lossless = io.BytesIO()
    image.save(lossless, "WEBP", lossless=True)
    one, other = pictures.image(encoded(image), "file"), pictures.image(lossless.getvalue(), "file")
    assert (one.sha256, one.pixel_sha256) == (other.sha256, other.pixel_sha256)
