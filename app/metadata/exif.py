"""The little of EXIF that matters: the user comment, written; it and a few texts, read.

Tags of TIFF 6.0 and of EXIF 2.32 (section 4.6.6, 8 bytes of character code before a comment's text).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

MAX_ENTRIES = 200
MAX_VALUE = 2**20  # bytes; a comment of this length is no comment
EXIF_FOLDER = 0x8769
USER_COMMENT = 0x9286
TEXT_TAGS = {0x010E: "description", 0x010F: "make", 0x0110: "model", 0x0131: "software", 0x927C: "maker_note"}
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1}  # bytes of one value, by TIFF's type
LONG, UNDEFINED = 4, 7
UNICODE, ASCII = b"UNICODE\0", b"ASCII\0\0\0"


def user_comment(text: str) -> bytes:
    """Return an EXIF block (big-endian TIFF) whose user comment is `text` in UTF-16, as A1111's readers expect it."""
    comment = UNICODE + text.encode("utf-16-be")
    first = 8  # the offset of the first folder; one entry takes 12 bytes, a folder 6 more
    second = first + 18
    header = struct.pack(">2sHI", b"MM", 42, first)
    pointer = struct.pack(">HHHIII", 1, EXIF_FOLDER, LONG, 1, second, 0)
    entry = struct.pack(">HHHIII", 1, USER_COMMENT, UNDEFINED, len(comment), second + 18, 0)
    return header + pointer + entry + comment


def read_exif(block: bytes) -> dict[str, str]:
    """Return the texts of an EXIF block by name, `comment` the user comment; what is damaged is left out."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return {}
    found: dict[str, str] = {}
    (first,) = struct.unpack(f"{order}I", block[4:8])
    folders = [first]
    for folder in folders:
        for tag, value in _entries(block, folder, order):
            if tag == EXIF_FOLDER and len(value) == 4 and len(folders) == 1:
                folders.append(struct.unpack(f"{order}I", value)[0])
            elif tag == USER_COMMENT and "comment" not in found:
                found["comment"] = _comment(value, order)
            elif tag in TEXT_TAGS and TEXT_TAGS[tag] not in found:
                found[TEXT_TAGS[tag]] = value.rstrip(b"\0").decode("utf-8", "replace")
    return found


def _entries(block: bytes, at: int, order: str) -> Iterator[tuple[int, bytes]]:
    (count,) = struct.unpack(f"{order}H", block[at : at + 2].ljust(2, b"\0"))
    for number in range(min(count, MAX_ENTRIES)):
        entry = block[at + 2 + 12 * number :][:12]
        if len(entry) < 12:
            return
        tag, kind, length = struct.unpack(f"{order}HHI", entry[:8])
        size = length * SIZES.get(kind, 0)
        if size <= 4:
            yield tag, entry[8 : 8 + size]
            continue
        (offset,) = struct.unpack(f"{order}I", entry[8:])
        yield tag, block[offset : offset + min(size, MAX_VALUE)]


def _comment(value: bytes, order: str) -> str:
    code, text = value[:8], value[8:]
    if code == UNICODE:
        return _utf16(text, order).rstrip("\0")
    return (text if code == ASCII or not code.strip(b"\0") else value).rstrip(b"\0").decode("utf-8", "replace")


def _utf16(text: bytes, order: str) -> str:
    """Read UTF-16 of unsaid byte order: the one in which more characters are of the first page, where letters are."""
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return text.decode("utf-16", "replace")
    big, little = text[0::2].count(0), text[1::2].count(0)
    is_big = big > little if big != little else order == ">"
    return text.decode("utf-16-be" if is_big else "utf-16-le", "replace")
