"""Reading what a picture says about itself, whoever made it. The order is from the surest to the vaguest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from app.metadata import a1111, comfy, exif, foreign, xmp
from app.metadata.chunks import Texts, read_texts
from app.metadata.found import Found, load_object
from app.metadata.write import KEYWORD, PARAMETERS
from models.recipe import Recipe


@dataclass(frozen=True)
class Reading:
    """All that a file says: `recipe` where it is ours and whole, else `found`; `source_type` is IPTC's term.

    `text` is the plain text of the settings, "" if there is none; `texts` are all texts by keyword.
    """

    kind: str
    width: int
    height: int
    recipe: Recipe | None
    found: Found | None
    source_type: str | None
    text: str
    texts: Mapping[str, str]


def read(content: bytes) -> Reading | None:
    """Return what a PNG, JPEG or WebP says about itself, None for any other file. Raises nothing, whatever it holds."""
    texts = read_texts(content)
    if texts is None:
        return None
    named = {**texts.texts, **_exif_texts(texts)}
    recipe = _own(named.get(KEYWORD) or xmp.own_recipe(texts.xmp))
    found = None if recipe else next(filter(None, _readers(named)), None)
    return Reading(
        texts.kind,
        texts.width,
        texts.height,
        recipe,
        found,
        xmp.source_type(texts.xmp),
        named.get(PARAMETERS) or named.get("exif comment", ""),
        named,
    )


def read_recipe(content: bytes) -> Recipe | None:
    """Return the recipe that we wrote into a file, or None if there is none that we understand."""
    reading = read(content)
    return reading.recipe if reading else None


def _exif_texts(texts: Texts) -> dict[str, str]:
    return {f"exif {name}": text for name, text in exif.read_exif(texts.exif).items()}


def _own(text: str | None) -> Recipe | None:
    own = load_object(text)
    try:
        return Recipe.model_validate(own["recipe"]) if own else None
    except (KeyError, ValidationError):
        return None


def _readers(named: Mapping[str, str]) -> Iterator[Found | None]:
    """What each reader makes of the texts, tried only until one finds something."""
    for name in (PARAMETERS, "exif comment", "comment", "exif description"):
        text = named.get(name, "")
        yield foreign.sniff(text)
        yield a1111.read(text)
    yield _graph(named)
    yield _from_json(foreign.invoke, named.get("invokeai_metadata"))
    yield _from_json(foreign.invoke_old, named.get("sd-metadata"))
    comment = load_object(named.get("Comment"))
    if comment is not None:
        yield foreign.novelai(comment, named.get("Description", ""))
        yield foreign.fooocus(comment)


def _from_json(reader: Any, text: str | None) -> Found | None:
    own = load_object(text)
    found: Found | None = reader(own) if own is not None else None
    return found


def _graph(named: Mapping[str, str]) -> Found | None:
    """ComfyUI's graph: in chunks of its own in a PNG, behind `prompt:` and `workflow:` in a WebP's EXIF."""
    packed = {}
    for text in (named.get("exif make", ""), named.get("exif model", "")):
        key, colon, rest = text.partition(":")
        if colon:
            packed[key.lower()] = rest
    prompt = load_object(named.get("prompt")) or load_object(packed.get("prompt"))
    workflow = load_object(named.get("workflow")) or load_object(packed.get("workflow"))
    return comfy.read(prompt, workflow) if prompt or workflow else None
