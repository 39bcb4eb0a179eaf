"""The program of a child process: decode one stranger's picture within hard limits, and write it anew.

Run as `python -I decoding.py REQUEST < FILE > ANSWER`. REQUEST is JSON; ANSWER is one line of JSON (`{"error"}`, or
what `_facts` gives) followed by a PNG that holds pixels and nothing else. Knows nothing of ours: `pictures.py` runs it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import re
import resource
import sys
import warnings
from typing import Any

MEMORY_BYTES = 2**30
CPU_SECONDS = 10
MAX_PIXELS = 16_800_000
PNG_LEVEL = 3  # a third of the time of the default, for a tenth more bytes
MARK = re.compile(rb"digitalsourcetype/((?:trained|compositeWithTrained)?[aA]lgorithmicMedia)")


class Refused(Exception):  # noqa: N818
    """The picture cannot be taken; the message is for whoever sent it."""


def main() -> None:
    """Answer, whatever the picture is; only a limit of the system ends this otherwise."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        facts, png = decoded(sys.stdin.buffer.read(), **json.loads(sys.argv[1]))
    except Refused as refusal:
        facts, png = {"error": str(refusal)}, b""
    except MemoryError:
        facts, png = {"error": "The picture takes too much memory to decode."}, b""
    sys.stdout.buffer.write(json.dumps(facts).encode() + b"\n" + png)


def decoded(
    content: bytes, *, is_mask: bool, max_side: int | None = None, size: tuple[int, int] | None = None
) -> tuple[dict[str, Any], bytes]:
    """Return facts and PNG of a picture (RGB, RGBA where some of it is transparent) or a mask (L).

    A picture beyond `max_side` is made smaller; a mask is made `size`, if that is given. Raises `Refused`.
    """
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        with Image.open(io.BytesIO(content), formats=["PNG", "JPEG", "WEBP"]) as opened:
            _require_taken(opened)
            opened.load()
            mark = MARK.search(_xmp(opened.info))
            upright = _upright(_eight_bits(opened))
            image = _mask(upright, size) if is_mask else _fitted(_color(upright), max_side)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        message = f"A picture may have at most {MAX_PIXELS / 1e6:.1f} million pixels; make it smaller first."
        raise Refused(message) from error
    except UnidentifiedImageError as error:
        raise Refused("This is no PNG, JPEG or WebP file.") from error
    except (OSError, SyntaxError, ValueError, IndexError, KeyError, TypeError, OverflowError, EOFError) as error:
        raise Refused("This file is damaged: it cannot be decoded to its end.") from error
    image.info = {}  # Pillow would write the profile that it has done away with
    png = io.BytesIO()
    image.save(png, "PNG", compress_level=PNG_LEVEL)
    return _facts(image, opened.size, mark.group(1).decode() if mark else None), png.getvalue()


def _facts(image: Any, original: tuple[int, int], mark: str | None) -> dict[str, Any]:
    """Say what there is; `pixel_sha256` is of the RGB (masks: grey) bytes, `mark` IPTC's term for synthetic media."""
    flat = image if image.mode == "L" else image.convert("RGB")
    return {
        "width": image.width,
        "height": image.height,
        "original_width": original[0],
        "original_height": original[1],
        "pixel_sha256": hashlib.sha256(flat.tobytes()).hexdigest(),
        "is_blank": image.getbbox(alpha_only=False) is None,
        "mark": mark,
    }


def _require_taken(image: Any) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise Refused(
            f"The picture is {image.width} x {image.height}; it may have {MAX_PIXELS / 1e6:.1f} million pixels."
        )
    if image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False):  # phones put two into a JPEG
        raise Refused("Animated pictures are not taken; send a single frame.")


def _xmp(info: dict[Any, Any]) -> bytes:
    found = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    return found.encode() if isinstance(found, str) else bytes(found)


def _eight_bits(image: Any) -> Any:
    """Return 16 bits of grey as 8; Pillow itself would cut off what is above 255."""
    if not image.mode.startswith("I"):
        return image
    return image.convert("I").point(lambda level: level / 256).convert("L")


def _upright(image: Any) -> Any:
    """Turn and mirror as EXIF says; EXIF that cannot be read says nothing."""
    from PIL import ImageOps

    with contextlib.suppress(Exception):
        return ImageOps.exif_transpose(image)
    return image


def _color(image: Any) -> Any:
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    rgb = _srgb(image)
    if alpha is not None and alpha.getextrema()[0] < 255:
        rgb.putalpha(alpha)
    return rgb


def _srgb(image: Any) -> Any:
    """Return the colours in sRGB, as mode RGB. A profile that is broken or not of this mode is left out of account."""
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    plain = image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            turned = ImageCms.profileToProfile(plain, source, target, outputMode="RGB")
            if turned is not None:
                return turned
    return plain.convert("RGB")


def _fitted(image: Any, max_side: int | None) -> Any:
    if max_side is None or max(image.size) <= max_side:
        return image
    from PIL import Image

    scale = max_side / max(image.size)
    sides = tuple(max(1, math.floor(side * scale)) for side in image.size)
    return image.resize(sides, Image.Resampling.LANCZOS)


def _mask(image: Any, size: tuple[int, int] | None) -> Any:
    """Return what is white as 255; what is transparent counts as black."""
    from PIL import Image

    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    grey = image.convert("L")
    return grey if size is None or grey.size == tuple(size) else grey.resize(tuple(size), Image.Resampling.BILINEAR)


if __name__ == "__main__":
    main()
