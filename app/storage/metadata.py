"""What a PNG of ours says about itself: A1111's `parameters` text, our lossless JSON, and the mark of synthetic media.

Written from AUTOMATIC1111's documented grammar of the text; readers of it need `Steps:` at the start of the last line.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import ValidationError

from models.recipe import Recipe, Sampler

FORMAT_VERSION = 1
KEYWORD = "mezzotint"
PARAMETERS = "parameters"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})

SAMPLER_NAMES = {
    Sampler.DDIM: "DDIM",
    Sampler.DDPM: "DDPM",
    Sampler.EULER: "Euler",
    Sampler.EULER_ANCESTRAL: "Euler a",
    Sampler.HEUN: "Heun",
    Sampler.DPMPP_2M: "DPM++ 2M",
    Sampler.DPMPP_2M_SDE: "DPM++ 2M SDE",
}

TRAINED = "trainedAlgorithmicMedia"  # IPTC's terms for what a network made, all of it or in part
COMPOSITE = "compositeWithTrainedAlgorithmicMedia"

XMP = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
   xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Mezzotint"
   Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def xmp(term: str) -> bytes:
    """Return the XMP packet that says where a picture is from, by IPTC's DigitalSourceType."""
    return XMP.replace(TRAINED.encode(), term.encode())


def encode_png(
    rgb: bytes, width: int, height: int, recipe: Recipe, environment: Mapping[str, Any], term: str = TRAINED
) -> bytes:
    """Return a PNG of `rgb` (height * width * 3 bytes) that carries its recipe. The same input gives the same bytes.

    `term` is `COMPOSITE` for a picture that begins from one that was not generated.
    """
    info = _text_chunks(recipe, environment)
    info.add_itxt("XML:com.adobe.xmp", xmp(term).decode())
    png = io.BytesIO()
    Image.frombytes("RGB", (width, height), rgb).save(png, "PNG", pnginfo=info)
    return png.getvalue()


def _text_chunks(recipe: Recipe, environment: Mapping[str, Any]) -> PngInfo:
    own = {"recipe": recipe.model_dump(mode="json"), "environment": dict(environment), "version": FORMAT_VERSION}
    info = PngInfo()
    info.add_text(PARAMETERS, parameters(recipe, environment))
    info.add_itxt(KEYWORD, json.dumps(own, ensure_ascii=False, sort_keys=True, separators=(",", ":")))
    return info


def parameters(recipe: Recipe, environment: Mapping[str, Any]) -> str:
    """Return the text that AUTOMATIC1111's family and Civitai read: prompt, negative prompt, one line of settings."""
    settings: dict[str, Any] = {
        "Steps": recipe.steps,
        "Sampler": SAMPLER_NAMES[recipe.sampler],
        "CFG scale": recipe.guidance_scale,
        "Seed": recipe.seed,
        "Size": f"{recipe.width}x{recipe.height}",
        "Model hash": str(environment.get("fingerprint") or "")[:10] or None,
        "Model": environment.get("checkpoint") or recipe.checkpoint,
        "RNG": "CPU",
        "Eta DDIM": recipe.eta if recipe.sampler is Sampler.DDIM and recipe.eta else None,
        "CFG rescale": recipe.guidance_rescale or None,
        "Version": f"Mezzotint {environment.get('version', '')}".strip(),
    }
    line = ", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items() if value is not None)
    negative = [f"Negative prompt: {recipe.negative_prompt}"] if recipe.negative_prompt else []
    return "\n".join([recipe.prompt, *negative, line])


def read_recipe(png: bytes) -> Recipe | None:
    """Return the recipe that `encode_png` wrote, or None if there is none that we understand."""
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            own = json.loads(image.info[KEYWORD])
        return Recipe.model_validate(own["recipe"])
    except (OSError, SyntaxError, KeyError, TypeError, ValueError, ValidationError, Image.DecompressionBombError):
        return None


def without_recipe(png: bytes) -> bytes:
    """Return the same picture with its mark of synthetic media but without prompt, settings and environment."""
    kept = (
        chunk for kind, keyword, chunk in _chunks(png) if kind not in TEXT_CHUNKS or keyword == b"XML:com.adobe.xmp"
    )
    return SIGNATURE + b"".join(kept)


def without_edit(png: bytes) -> bytes:
    """Return the same picture, whose recipe no longer says what it was made from; for those who see only this one."""
    recipe = read_recipe(png)
    if recipe is None or recipe.edit is None:
        return png
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        environment = json.loads(image.info[KEYWORD])["environment"]
    info = _text_chunks(recipe.model_copy(update={"edit": None}), environment)
    return _with_chunks(without_recipe(png), info.chunks)


def term_of_edit(png: bytes) -> str:
    """Return IPTC's word for what is made from this picture: a composite unless all of it had been generated."""
    is_generated = any(
        keyword == b"XML:com.adobe.xmp" and b"/" + TRAINED.encode() in chunk for _kind, keyword, chunk in _chunks(png)
    )
    return TRAINED if is_generated else COMPOSITE


def marked(png: bytes, term: str) -> bytes:
    """Return the picture with the mark of synthetic media, which its own file had before it was written anew."""
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp(term).decode())
    return _with_chunks(png, info.chunks)


def _with_chunks(png: bytes, chunks: Sequence[tuple[Any, ...]]) -> bytes:
    """Return the PNG with chunks (kind, content, ...) after its header."""
    header, *others = (chunk for _kind, _keyword, chunk in _chunks(png))
    added = (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content, *_ in chunks
    )
    return SIGNATURE + header + b"".join(added) + b"".join(others)


def _quoted(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ',:"\n') else text


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield kind, keyword (of text chunks) and all bytes of each chunk. Raises `ValueError` on what is no PNG."""
    if not png.startswith(SIGNATURE):
        raise ValueError("not a PNG: the signature is missing")
    at = len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        chunk = png[at : at + length + 12]
        if len(chunk) < length + 12 or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
            raise ValueError(f"damaged PNG: the chunk at byte {at} is incomplete")
        yield chunk[4:8], chunk[8:-4].split(b"\0", 1)[0], chunk
        at += length + 12
