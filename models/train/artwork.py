"""Openly licensed emoji artwork: fetched by package name and version, never committed, drawn once into sprites.

Knows the packages and their licences (`NOTICE`). `nouns.py` says what is taken from them, `things.py` places it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import skia
from numpy.typing import NDArray
from tqdm import tqdm

from .nouns import INDOORS, OUTDOORS

FOLDER = Path("build/artwork")
SIZE = 192  # pixels a side of a sprite
NEEDED = ("icons.json", "info.json", "package.json")


class ArtworkError(RuntimeError):
    """The artwork is not there or not what it should be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Package:
    name: str
    version: str
    licence: str

    @property
    def folder(self) -> str:
        return self.name.rpartition("/")[2]


PACKAGES = (
    Package("@iconify-json/noto", "1.2.9", "Apache-2.0"),
    Package("@iconify-json/fluent-emoji", "1.2.7", "MIT"),
)


def fetch(folder: Path, packages: Sequence[Package] = PACKAGES) -> None:
    """Fetch the packages that `folder` lacks by the machine's own npm, then draw the sprites."""
    for package in packages:
        if not (folder / package.folder / "package.json").exists():
            with tempfile.TemporaryDirectory() as packed:
                unpack(_packed(package, Path(packed)), folder / package.folder)
        check(package, folder / package.folder)
    draw(folder, packages)


def _packed(package: Package, folder: Path) -> Path:
    if shutil.which("npm") is None:
        raise ArtworkError("npm is not installed; it comes with Node.js")
    named = f"{package.name}@{package.version}"
    command = ["npm", "pack", named, "--silent", "--ignore-scripts", "--pack-destination", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ArtworkError(f"npm could not fetch {named}: {done.stderr.strip()[-300:] or 'it gave no reason'}")
    return next(folder.glob("*.tgz"))


def unpack(packed: Path, folder: Path) -> None:
    """Take what is needed out of a package file; nothing else is written, whatever the paths in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(packed) as archive:
        for name in NEEDED:
            member = archive.extractfile(f"package/{name}")
            if member is None:
                raise ArtworkError(f"{packed.name} has no {name}")
            (folder / name).write_bytes(member.read())


def check(package: Package, folder: Path) -> None:
    """See that what was fetched is of the version and under the licence that `NOTICE` names."""
    stated = json.loads((folder / "package.json").read_text("utf-8"))
    found = (stated["name"], stated["version"], stated["license"])
    if found != (package.name, package.version, package.licence):
        raise ArtworkError(f"{folder} holds {' '.join(found)} instead of {package}; delete it and fetch it again")


def draw(folder: Path, packages: Sequence[Package], icons: Sequence[str] = (*OUTDOORS, *INDOORS)) -> None:
    """Draw every icon in the artwork of every package into `sprites.npy`: (icons, packages, SIZE, SIZE, 4), RGBA."""
    sets = [json.loads((folder / package.folder / "icons.json").read_text("utf-8")) for package in packages]
    sprites = np.stack([np.stack([sprite(one, icon) for one in sets]) for icon in tqdm(icons, "sprites")])
    np.save(folder / "sprites.npy", sprites)
    (folder / "sprites.json").write_text(json.dumps(list(icons)) + "\n")


def sprite(icons: Mapping[str, Any], name: str) -> NDArray[np.uint8]:
    """Rasterise one icon of an icon set as (SIZE, SIZE, 4), colours not multiplied with their opacity."""
    known = icons["icons"]
    icon = known.get(name) or known.get(icons.get("aliases", {}).get(name, {}).get("parent"))
    if icon is None:
        raise ArtworkError(f"the icon set {icons['prefix']} has no {name!r}")
    width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
    source = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="100%" height="100%" viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">'
        f"{icon['body']}</svg>"
    )
    picture = skia.SVGDOM.MakeFromStream(skia.MemoryStream.MakeCopy(source.encode()))
    picture.setContainerSize(skia.Size(SIZE, SIZE))
    surface = skia.Surface(SIZE, SIZE)
    picture.render(surface.getCanvas())
    pixels: NDArray[np.uint8] = surface.toarray(colorType=skia.kRGBA_8888_ColorType)
    return pixels


@cache
def _sprites(folder: Path) -> tuple[dict[str, int], NDArray[np.uint8]]:
    names = folder / "sprites.json"
    if not names.exists():
        raise ArtworkError(f"{folder} has no artwork; fetch it with: python3 -m app train artwork")
    numbers = {name: number for number, name in enumerate(json.loads(names.read_text("utf-8")))}
    return numbers, np.load(folder / "sprites.npy", mmap_mode="r")


def sprite_of(noun: str, artist: int) -> skia.Image:
    """Return the sprite of a noun by one of the artists (packages), counted round."""
    numbers, sprites = _sprites(FOLDER.resolve())
    pixels = np.ascontiguousarray(sprites[numbers[noun], artist % sprites.shape[1]])
    return skia.Image.fromarray(pixels, colorType=skia.kRGBA_8888_ColorType)
