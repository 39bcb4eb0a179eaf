"""The flags of `generate` that say what a picture begins from."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.cli.flags import flag
from app.services import edit
from app.services.edit import Sources
from app.services.errors import InvalidInput
from app.services.request import JobRequest
from models.edit import Infill, MaskedContent

SIDES = ("left", "top", "right", "bottom")
OPTIONS = {
    "strength": "0 to 1; the share of the steps that are taken: 0 changes nothing, 1 keeps nothing",
    "grow": "pixels around the mask that are repainted with it",
    "overlap": "pixels of the picture that are repainted where the frame goes beyond it",
    "mask_blur": "half of the pixels over which the repainted part fades in",
    "padding": "with --only-masked: pixels around the mask that the network sees",
    "work_width": "with --only-masked: the width at which that is done; the checkpoint's own by default",
    "work_height": "as --work-width",
    "frame": "X,Y,WIDTH,HEIGHT of what the new picture shows, in pixels of --image",
}
CHOICES = {"infill": Infill, "masked_content": MaskedContent}
FORM_FIELDS = (*OPTIONS, *CHOICES)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the flags of an edit."""
    group = parser.add_argument_group("edit a picture")
    group.add_argument("--image", type=Path, metavar="FILE", help="begin from this PNG, JPEG or WebP file")
    group.add_argument("--mask", type=Path, metavar="FILE", help="repaint only what is white in this one")
    group.add_argument("--scale-mask", action="store_true", help="scale a mask of another size to that of --image")
    group.add_argument("--only-masked", action="store_true", help="work on the surroundings of the mask, at full size")
    group.add_argument("--no-color-match", action="store_true", help="leave the colours of what is new as they come")
    group.add_argument(
        "--outpaint",
        type=_sides,
        metavar="SIDE=N,...",
        help=f"pixels to add: {', '.join(SIDES)}, such as left=64,top=32",
    )
    for name, text in OPTIONS.items():
        group.add_argument(flag(name), metavar="X,Y,W,H" if name == "frame" else "N", help=text)
    for name, values in CHOICES.items():
        group.add_argument(flag(name), metavar="NAME", help=", ".join(values))


def given_fields(arguments: argparse.Namespace) -> dict[str, str]:
    """What the flags say, as fields of a form; the files themselves are not read here."""
    fields = {name: value for name in FORM_FIELDS if (value := getattr(arguments, name)) is not None}
    if arguments.only_masked:
        fields["only_masked"] = "true"
    if arguments.scale_mask:
        fields["scale_mask"] = "true"
    if arguments.no_color_match:
        fields["color_match"] = "false"
    return fields


def sources(arguments: argparse.Namespace, request: JobRequest) -> Sources | None:
    """Read and check the files. Returns None if nothing is edited. Raises `InvalidInput` and `OSError`."""
    if arguments.image is None:
        _require_no_edit(arguments, request)
        return None
    mask = None if arguments.mask is None else arguments.mask.read_bytes()
    found = edit.of_files(arguments.image.read_bytes(), mask, request)
    if arguments.outpaint is None:
        return found
    if request.frame is not None:
        raise InvalidInput([{"field": "outpaint", "message": "This and --frame say the same; give one of them."}])
    assert found.edit.frame is not None
    framed = request.model_copy(update={"frame": edit.extended(found.edit.frame, **arguments.outpaint)})
    return edit.of_files(arguments.image.read_bytes(), mask, framed)


def _require_no_edit(arguments: argparse.Namespace, request: JobRequest) -> None:
    said = [name for name in ("mask", "outpaint") if getattr(arguments, name) is not None]
    said += [name for name in ("frame",) if getattr(request, name) is not None] + list(request.edit_settings)
    if said:
        raise InvalidInput([{"field": name, "message": "This goes with --image, which is missing."} for name in said])


def _sides(text: str) -> dict[str, int]:
    """Read `left=64,top=32`."""
    pairs: Sequence[Any] = [part.partition("=") for part in text.split(",")]
    sides = {side.strip(): number.strip() for side, _, number in pairs}
    if not (len(sides) == len(pairs) and sides.keys() <= set(SIDES) and all(map(str.isdecimal, sides.values()))):
        raise argparse.ArgumentTypeError(f"{text!r} is not like left=64,top=32; the sides are {', '.join(SIDES)}")
    return {side: int(number) for side, number in sides.items()}
