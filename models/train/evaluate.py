"""`evaluate`: the figures of the model card, from fixed seeds and captions that were never trained on.

What a picture shows is read by a network that has seen rendered pictures only (`judge.py`), whose own accuracy on
held-out renders stands beside each figure and bounds it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..bundle import Bundle
from ..checkpoint.facts import CheckpointError, inspect, read_json
from ..checkpoint.loading import load
from . import judge, texture
from .best import OF, best_of
from .gallery import draw, recipes_of
from .negatives import negatives, table
from .pictures import HELD_OUT, IMAGE_SIZE, picture_of, scene_of, to_picture, to_pixels
from .probe import STICKER_PARTS
from .scene import WORLDS, Scene, World
from .sheet import compose
from .speech import caption

EMBEDDED = Path(__file__).parent.parent / "embedded"
STEPS = (4, 8, 12, 20, 30)
SAMPLERS = ("ddim", "dpmpp_2m", "dpmpp_2m_sde")
GUIDANCE = (1.0, 2.0, 4.0, 8.0)
GUIDED = (0.5, 0.75)  # shares of the steps after which guidance ends
SIZES = ((192, 192), (320, 320), (384, 256), (256, 384), (384, 384), (512, 320), (320, 512), (512, 512))
PSNR_PICTURES = 64
FIRST = HELD_OUT + 20_000  # of the scenes that are asked for
IN_SKIES = ("luminary", "clouds", "stars", "aurora")
PLAIN = "without style, palette, weather, season and birds"
TIMED = 5
TESTED = 1000  # renders on which the judge itself is tested
JUDGED = {1: 12_000, 2: 40_000, 3: 200_000}  # pictures that the judge of a world is trained on


@dataclass(frozen=True, slots=True)
class Score:
    """Shares of pictures, 0..1: `parts` by part of the scene, `all` where all that was named is right, `doubled`
    where the thing or the luminary stands there twice, `unasked` by what a sky shows that nobody asked it to."""

    parts: dict[str, float]
    all: float
    doubled: float
    unasked: dict[str, float]


def main(argv: list[str] | None = None) -> int:
    """Measure a checkpoint, print the figures as tables, write them and the pictures; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    folder: Path = options.folder
    try:
        inspect(options.checkpoint)
        world = int(read_json(options.checkpoint / "mezzotint.json").get("world", 1))  # the first did not say so
    except CheckpointError as error:
        parser.error(f"--checkpoint: {error}")
    if options.prompts < 2:
        parser.error("--prompts: 2 are the least, since half of them are drawn for each row of a series")
    folder.mkdir(parents=True, exist_ok=True)
    reader = judge.train(
        folder / f"judge-{world}.safetensors", WORLDS[world], pictures=JUDGED[world], passes=5, workers=options.workers
    )
    bundle = load(options.checkpoint)
    figures: dict[str, Any] = {
        "judge": judge.accuracy(reader, pictures=TESTED, workers=options.workers),
        "psnr": psnr(bundle, reader.world),
        "seconds": seconds(bundle, reader.world),
    }
    scenes = held_out(options.prompts, reader.world)
    figures["texture"] = textures(bundle, reader.world, len(scenes))
    pictures = _pictures(bundle, scenes)
    figures["defaults"] = _judged(reader, pictures, scenes)
    if reader.world.styles:
        plain = replace(reader.world, styles=(), palettes=(), weathers=(), seasons=(), has_birds=False)
        scenes_of_it = held_out(options.prompts, plain)
        figures["plain"] = _judged(reader, _pictures(bundle, scenes_of_it), scenes_of_it, plain)
    compose([Image.fromarray(p) for p in pictures[:48]], [_said(i, s) for i, s in enumerate(scenes[:48])]).save(
        folder / "held-out.png"
    )
    if not options.short:
        few = scenes[: options.prompts // 2]
        for title, rows in series().items():
            figures[title] = _series(bundle, reader, few, rows, folder / f"{title}.png")
        if bundle.image_tower is not None:
            figures["best"] = _best(bundle, reader, few)
        figures["negatives"] = negatives(partial(_drawn, bundle), reader, len(few))
    (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(report(figures))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m app evaluate", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=EMBEDDED, help="folder (default: the embedded model)")
    parser.add_argument("--folder", type=Path, default=Path("build/evaluate"), help="for the results")
    parser.add_argument("--prompts", type=int, default=128, help="how many pictures (default: %(default)s)")
    parser.add_argument(
        "--short", action="store_true", help="leave out the series over steps and guidance, and negative prompts"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that render")
    return parser


def held_out(count: int, world: World) -> list[Scene]:
    """Return scenes that are never trained on."""
    return [scene_of(FIRST + i, world) for i in range(count)]


@lru_cache(maxsize=2)
def _renders(count: int, world: World, width: int = IMAGE_SIZE, height: int = IMAGE_SIZE) -> NDArray[np.uint8]:
    """Draw the scenes of `held_out` as the model was shown such scenes."""
    shape = height / IMAGE_SIZE, width / IMAGE_SIZE
    return np.stack([picture_of(FIRST + i, world=world, shape=shape) for i in range(count)])


def _said(number: int, scene: Scene) -> str:
    """Describe a scene with all that can be said of it."""
    return caption(scene, Random(number), omissions=0)


def _pictures(bundle: Bundle, scenes: Sequence[Scene], **options: object) -> list[NDArray[np.uint8]]:
    prompts = [_said(number, scene) for number, scene in enumerate(scenes)]
    return draw(bundle, recipes_of(bundle, prompts, **options), " ".join(map(str, options.values())) or "defaults")


def _best(bundle: Bundle, reader: judge.Judge, scenes: Sequence[Scene]) -> dict[str, float]:
    """Let the image tower choose among several pictures of each scene."""

    def drawn(prompts: Sequence[str], seed: int) -> list[NDArray[np.uint8]]:
        recipes = recipes_of(bundle, prompts)
        moved = [recipe.model_copy(update={"seed": recipe.seed + seed}) for recipe in recipes]
        return draw(bundle, moved, f"seeds from {seed}")

    def is_right(pictures: Sequence[NDArray[np.uint8]]) -> list[bool]:
        return [score(reader, [picture], [scene]).all == 1 for picture, scene in zip(pictures, scenes, strict=True)]

    return best_of(bundle, [_said(i, scene) for i, scene in enumerate(scenes)], drawn, is_right)


def _drawn(bundle: Bundle, prompts: Sequence[str], negative: str) -> list[NDArray[np.uint8]]:
    recipes = recipes_of(bundle, prompts, negative_prompt=negative)
    return draw(bundle, recipes, f"without {negative}" if negative else "no negative prompt")


def score(reader: judge.Judge, pictures: Sequence[NDArray[np.uint8]], scenes: Sequence[Scene]) -> Score:
    """Compare what the judge reads from pictures with the scenes that they were asked to show."""
    right: dict[str, list[bool]] = {name: [] for name in reader.parts if not name.endswith("_twice")}
    unasked: dict[str, list[bool]] = {name: [] for name in IN_SKIES}
    whole, doubled = [], []
    for read, scene in zip(reader.read(np.stack(pictures)), scenes, strict=True):
        found = {name: read[name] == getattr(scene, name) for name in right if is_named(scene, name)}
        for name, is_right in found.items():
            right[name].append(is_right)
        whole.append(all(found.values()))
        doubled.append(is_doubled(read, scene))
        for name, seen in unasked.items():
            if not getattr(scene, name) and not scene.backdrop:
                seen.append(bool(read[name]))
    return Score(_shares(right), float(np.mean(whole)), float(np.mean(doubled)), _shares(unasked))


def _judged(
    reader: judge.Judge, pictures: Sequence[NDArray[np.uint8]], scenes: Sequence[Scene], world: World | None = None
) -> dict[str, Any]:
    """Return the `Score` of pictures of a world's first held-out scenes and how far their texture is from renders."""
    height, width, _ = pictures[0].shape
    rendered = _renders(len(scenes), world or reader.world, width, height)
    return asdict(score(reader, pictures, scenes)) | {"texture": texture.distance(np.stack(pictures), rendered)}


def _shares(values: dict[str, list[bool]]) -> dict[str, float]:
    return {name: float(np.mean(several)) for name, several in values.items() if several}


def is_doubled(read: dict[str, Any], scene: Scene) -> bool:
    """Whether the thing or the luminary that was asked for once stands there twice."""
    return any(read[f"{part}_twice"] for part in ("thing", "luminary") if getattr(scene, part) and scene.count == 1)


def is_named(scene: Scene, part: str) -> bool:
    """Whether a full caption names this part; what is not there is not spoken of."""
    if scene.backdrop and part not in STICKER_PARTS:
        return False
    if part == "count":
        return scene.thing is not None
    return bool(getattr(scene, part.removesuffix("_at")))


def series() -> dict[str, list[dict[str, Any]]]:
    """Return what is compared: for each title the options of a recipe that make its rows."""
    return {
        "steps": [{"sampler": sampler, "steps": steps} for sampler in SAMPLERS for steps in STEPS],
        "guidance": [{"guidance_scale": scale} for scale in GUIDANCE],
        "guided": [{"guidance_end": share} for share in GUIDED],
        "sizes": [{"width": width, "height": height} for width, height in SIZES],
    }


def _series(
    bundle: Bundle, reader: judge.Judge, scenes: Sequence[Scene], rows: Sequence[dict[str, Any]], sheet: Path
) -> list[dict[str, Any]]:
    """Score pictures with the options of each row; the sheet has a row for each and a column for each of six scenes."""
    shown, results = [], []
    for row in rows:
        pictures = _pictures(bundle, scenes, **row)
        shown += [(Image.fromarray(picture), str(row)) for picture in pictures[:6]]
        results.append(row | _judged(reader, pictures, scenes))
    compose([picture for picture, _ in shown], [text for _, text in shown]).save(sheet)
    return results


@torch.no_grad()
def psnr(bundle: Bundle, world: World) -> float:
    """Return the mean PSNR in dB of the autoencoder over held-out renders."""
    found = []
    for number in range(PSNR_PICTURES):
        pixels = to_pixels(np.stack([picture_of(HELD_OUT + 40_000 + number, world=world)]))
        decoded = bundle.vae.decode(bundle.vae.encode(pixels)[0]).clamp(-1, 1)
        found.append(-10 * float(((decoded - pixels) / 2).square().mean().log10()))
    return float(np.mean(found))


@torch.no_grad()
def textures(bundle: Bundle, world: World, count: int) -> dict[str, list[float]]:
    """Return what bounds the texture of generated pictures: that of other renders, and of the autoencoder's copies."""
    shown = _renders(count, world)
    others = np.stack([picture_of(HELD_OUT + 60_000 + i, world=world) for i in range(count)])
    copies = [to_picture(bundle.vae.decode(bundle.vae.encode(to_pixels(one[None]))[0])) for one in shown]
    return {
        "other renders": texture.distance(others, shown),
        "the autoencoder": texture.distance(np.concatenate(copies), shown),
    }


def seconds(bundle: Bundle, world: World) -> float:
    """Return the median time of one picture alone with the defaults, over TIMED, after one to warm up."""
    times = []
    for recipe in recipes_of(bundle, [_said(i, scene) for i, scene in enumerate(held_out(TIMED + 1, world))]):
        started = time.perf_counter()
        draw(bundle, [recipe], "time")
        times.append(time.perf_counter() - started)
    return float(np.median(times[1:]))


def report(figures: dict[str, Any]) -> str:
    """Say the figures as tables in Markdown."""
    defaults, ceiling = figures["defaults"], figures["judge"]
    lines = ["| part | right | judge on renders |", "|---|---|---|"]
    lines += [f"| {part} | {share:.0%} | {ceiling[part]:.0%} |" for part, share in defaults["parts"].items()]
    lines += [f"| all at once | {defaults['all']:.0%} | |", f"| something doubled | {defaults['doubled']:.0%} | |"]
    lines += [f"| {part}, though not asked for | {share:.0%} | |" for part, share in defaults["unasked"].items()]
    if plain := figures.get("plain"):
        lines += [f"| all at once, of captions {PLAIN} | {plain['all']:.0%} | |"]
    lines += ["", "| texture, from renders of the same scenes | fine | half | quarter |", "|---|---|---|---|"]
    distances = figures["texture"] | {"the defaults": defaults["texture"]}
    distances |= {PLAIN: plain["texture"]} if plain else {}
    lines += [f"| {name} | {' | '.join(f'{one:.0f}' for one in found)} |" for name, found in distances.items()]
    lines += ["", f"autoencoder {figures['psnr']:.1f} dB; one picture {figures['seconds']:.2f} s"]
    for title in series():
        rows = figures.get(title, [])
        if rows:
            names = [name for name in rows[0] if name not in defaults]
            columns = [*names, "thing", "thing_at", "all at once", "doubled", "texture"]
            lines += ["", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
            lines += [
                f"| {' | '.join(str(row[name]) for name in names)} | {row['parts']['thing']:.0%} "
                f"| {row['parts']['thing_at']:.0%} | {row['all']:.0%} | {row['doubled']:.0%} "
                f"| {np.mean(row['texture']):.0f} |"
                for row in rows
            ]
    if best := figures.get("best"):
        lines += [
            "",
            f"all at once: any one {best['any one']:.0%}, the first of {OF} by match {best['chosen']:.0%}, one ",
        ]
        lines[-1] += f"of {OF} {best['there']:.0%}"
    if "negatives" in figures:
        lines += ["", *table(figures["negatives"])]
    return "\n".join(lines)
