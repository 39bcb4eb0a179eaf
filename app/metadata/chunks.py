"""The texts in PNG, JPEG and WebP files, found by walking their chunks: no pixel is decoded, no length is believed.

A PNG's texts keep their keywords; EXIF and XMP are given as `exif` and `xmp` bytes. Sources: PNG 3rd edition section
11.3.3, JPEG's markers in ITU T.81 annex B, RFC 9649 for WebP.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
XMP_KEYWORD = "XML:com.adobe.xmp"
JPEG_EXIF = b"Exif\0\0"
JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
MAX_CHUNKS = 10_000
MAX_TEXT = 4 * 2**20  # bytes of one text, unpacked; ComfyUI's workflows come to a few hundred kilobytes
MAX_TEXTS = 64
MAX_ALL = 2 * MAX_TEXT  # bytes of all texts of a file
STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # JPEG markers without a length


@dataclass
class Texts:
    """What was found: `kind` is png, jpeg or webp; `texts` by keyword, the first of each."""

    kind: str
    width: int = 0
    height: int = 0
    texts: dict[str, str] = field(default_factory=dict)
    exif: bytes = b""
    xmp: str = ""


def read_texts(content: bytes) -> Texts | None:
    """Return the texts in a file, None if it is none of the three kinds. Damage ends the walk, and is no error."""
    if content.startswith(SIGNATURE):
        return _png(content)
    if content.startswith(b"\xff\xd8\xff"):
        return _jpeg(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _webp(content)
    return None


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield kind, payload and all bytes of each chunk. Raises `ValueError` on what is no whole PNG."""
    if not content.startswith(SIGNATURE):
        raise ValueError("not a PNG: the signature is missing")
    at = len(SIGNATURE)
    while at < len(content):
        head = content[at : at + 8]
        length = int.from_bytes(head[:4])
        chunk = content[at : at + length + 12]
        if len(head) < 8 or len(chunk) < length + 12 or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
            raise ValueError(f"damaged PNG: the chunk at byte {at} is incomplete")
        yield chunk[4:8], chunk[8:-4], chunk
        at += length + 12


def _png(content: bytes) -> Texts:
    found, left = Texts("png"), MAX_ALL
    try:
        for number, (kind, payload, _) in enumerate(png_chunks(content)):
            if number > MAX_CHUNKS or len(found.texts) >= MAX_TEXTS or left <= 0:
                break
            if kind == b"IHDR" and len(payload) >= 8:
                found.width, found.height = struct.unpack(">II", payload[:8])
            elif kind == b"eXIf" and len(payload) <= MAX_TEXT:
                found.exif = payload
            elif kind in TEXT_CHUNKS and len(payload) <= MAX_TEXT:
                keyword, text = _text(kind, payload, min(left, MAX_TEXT))
                left -= len(text)
                found.texts.setdefault(keyword, text)
    except (ValueError, zlib.error):
        pass
    found.xmp = found.texts.pop(XMP_KEYWORD, "")
    return found


def _text(kind: bytes, payload: bytes, most: int) -> tuple[str, str]:
    """Return keyword and text of a text chunk, unpacked to `most` bytes. Raises `ValueError` and `zlib.error`."""
    keyword, _, rest = payload.partition(b"\0")
    name = keyword.decode("latin-1")
    if kind == b"tEXt":
        return name, rest.decode("latin-1")
    if kind == b"zTXt":
        return name, _inflated(rest[1:], most).decode("latin-1")
    is_packed, packed = rest[:1] == b"\1", rest[2:]
    text = packed.split(b"\0", 2)[-1]  # behind language and translated keyword
    return name, (_inflated(text, most) if is_packed else text).decode("utf-8", "replace")


def _inflated(packed: bytes, most: int) -> bytes:
    """Unpack at most so many bytes, at least one, whatever the stream would come to."""
    return zlib.decompressobj().decompress(packed, most)


def _jpeg(content: bytes) -> Texts:
    found, at = Texts("jpeg"), 2
    for _ in range(MAX_CHUNKS):
        if at + 4 > len(content) or content[at] != 0xFF:
            break
        marker = content[at + 1]
        if marker == 0xDA:  # the pixels begin
            break
        if marker in STANDALONE or marker == 0xFF:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(content[at + 2 : at + 4])
        _segment(found, marker, content[at + 4 : at + 2 + length])
        at += 2 + max(2, length)
    return found


def _segment(found: Texts, marker: int, payload: bytes) -> None:
    is_frame = 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)
    if is_frame and len(payload) >= 5:
        found.height, found.width = struct.unpack(">HH", payload[1:5])
    elif marker == 0xE1 and payload.startswith(JPEG_EXIF):
        found.exif = found.exif or payload[len(JPEG_EXIF) :]
    elif marker == 0xE1 and payload.startswith(JPEG_XMP):
        found.xmp = found.xmp or payload[len(JPEG_XMP) :].decode("utf-8", "replace")
    elif marker == 0xFE:
        found.texts.setdefault("comment", payload.decode("utf-8", "replace"))


def _webp(content: bytes) -> Texts:
    found, at = Texts("webp"), 12
    for _ in range(MAX_CHUNKS):
        head = content[at : at + 8]
        if len(head) < 8:
            break
        length = int.from_bytes(head[4:], "little")
        payload = content[at + 8 : at + 8 + min(length, MAX_TEXT)]
        match head[:4]:
            case b"VP8X" if len(payload) >= 10:
                found.width = 1 + int.from_bytes(payload[4:7], "little")
                found.height = 1 + int.from_bytes(payload[7:10], "little")
            case b"EXIF":
                found.exif = payload.removeprefix(JPEG_EXIF)
            case b"XMP ":
                found.xmp = payload.decode("utf-8", "replace")
        at += 8 + length + length % 2
    return found
