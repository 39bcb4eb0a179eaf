"""The command line of training. Every stage resumes where it stopped, in one work folder.

all          every stage that is not over yet, then `export` and `sheet`: the whole training as one command
artwork      fetch what the design `artwork` needs: packages of openly licensed emoji, by npm
world        a sheet of rendered pictures with their captions
autoencoder  fit or train the autoencoder
decoder      train its decoder on noisy latents (if it folds nothing)
pairs        render and encode what the U-Net is trained on
diffusion    train the U-Net and the text encoder
polish       train the decoder on what the U-Net draws (one of components is fitted to it)
export       write the checkpoint folder
tower        train the image tower of that folder, which compares pictures with prompts
sheet        draw the example prompts and held-out ones with a checkpoint folder
curves       draw the losses over the steps
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TypeVar

from safetensors import SafetensorError

from ..checkpoint.headers import CheckpointError
from ..devices import DeviceError, pick_device
from . import artwork
from .design import DESIGNS, Design
from .export import export_folder
from .scene import WORLDS
from .stages import CPU_BUDGET, GPU_BUDGET, Budget, Training

N = TypeVar("N", int, float)

STAGES = (
    "all",
    "artwork",
    "world",
    "autoencoder",
    "decoder",
    "pairs",
    "diffusion",
    "polish",
    "export",
    "tower",
    "sheet",
    "curves",
)


def main(argv: list[str] | None = None) -> int:
    """Run one stage or all; returns the exit status, 3 if `--stop-after` ended it before its end."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.stage is None and options.show_forward is None:
        parser.error(f"name a stage: {', '.join(STAGES)}; or --show-forward PICTURE.png")
    try:
        return _run(options)
    except (DeviceError, CheckpointError, artwork.ArtworkError, OSError, SafetensorError) as error:
        print(f"python3 -m app train: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    if options.show_forward is not None:
        from .forward import forward_process

        forward_process(options.show_forward)
        return 0
    if options.stage == "artwork":
        return _artwork()
    options.folder.mkdir(parents=True, exist_ok=True)
    return _carry_out(options, _training(options))


def _carry_out(options: argparse.Namespace, training: Training) -> int:
    if options.origin is not None:
        training.begin(options.origin)
    match options.stage:
        case "all":
            is_over = training.all(options.checkpoint)
            if options.checkpoint.exists():
                _sheets(options.folder, training.design, options.checkpoint)
            return 0 if is_over else 3
        case "world":
            _world(options.folder, training.design)
        case "export":
            export_folder(options.folder, training.design, options.checkpoint)
        case "tower":
            training.tower(options.checkpoint)
        case "sheet":
            _sheets(options.folder, training.design, options.checkpoint)
        case stage:
            getattr(training, stage)()
    return 0


def _artwork() -> int:
    artwork.fetch(artwork.FOLDER)
    print(f"artwork in {artwork.FOLDER}; python3 -m app train all --design artwork trains on it")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m app train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", nargs="?", choices=STAGES)
    parser.add_argument("--folder", type=Path, default=Path("build/train"), help="work folder (default: %(default)s)")
    parser.add_argument("--checkpoint", type=Path, default=Path("build/embedded"), help="folder of export and sheet")
    parser.add_argument("--design", choices=sorted(DESIGNS), help="networks and world (large on a GPU, else small)")
    parser.add_argument("--device", default="auto", help="cuda, mps or cpu (default: the best there is)")
    parser.add_argument("--from", type=Path, dest="origin", metavar="FOLDER", help="begin with an exported checkpoint")
    parser.add_argument("--minutes", type=_above_0, help="train so long in all (25 on a GPU, else 120)")
    parser.add_argument(
        "--stop-after", type=_above_0, metavar="MINUTES", help="end this call then; the next one goes on"
    )
    parser.add_argument("--steps", type=_count, help="end each stage after so many steps, whatever the time")
    parser.add_argument("--pictures", type=_count, help="to train the autoencoder on")
    parser.add_argument("--chunks", type=_count, help="thousands of pictures to train the U-Net on")
    parser.add_argument("--batch", type=_count, help="pictures a step of the U-Net (512 on a GPU, else 16)")
    parser.add_argument("--learning-rate", type=_above_0, help="of the U-Net (8e-4)")
    parser.add_argument("--decay", type=_share, help="share of the whole in which the rate falls to 0 (0.35)")
    parser.add_argument("--compile", action="store_true", help="compile the U-Net: faster after a minute or two")
    parser.add_argument("--workers", type=_count, default=os.cpu_count() or 1, help="processes that render")
    parser.add_argument("--show-forward", type=Path, metavar="PICTURE", help="draw how noise covers a picture, and end")
    return parser


def _count(text: str) -> int:
    return _number(int, text, lambda value: value >= 1, "whole number from 1 on")


def _above_0(text: str) -> float:
    return _number(float, text, lambda value: value > 0, "number above 0")


def _share(text: str) -> float:
    return _number(float, text, lambda value: 0 <= value <= 1, "number from 0 to 1")


def _number(kind: Callable[[str], N], text: str, fits: Callable[[N], bool], what: str) -> N:
    with suppress(ValueError):
        if fits(value := kind(text)):
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is no {what}")


def _training(options: argparse.Namespace) -> Training:
    device = pick_device(options.device)
    on_gpu = device.type == "cuda"
    design = DESIGNS[options.design or ("large" if on_gpu else "small")]
    deadline = time.monotonic() + 60 * options.stop_after if options.stop_after else None
    budget = _budget(GPU_BUDGET if on_gpu else CPU_BUDGET, options)
    return Training(options.folder, design, budget, device, options.workers, deadline)


def _budget(budget: Budget, options: argparse.Namespace) -> Budget:
    named = ("minutes", "pictures", "chunks", "batch", "learning_rate", "decay", "steps")
    chosen = {name: getattr(options, name) for name in named if getattr(options, name) is not None}
    return replace(budget, is_compiled=options.compile, **chosen)


def _world(folder: Path, design: Design) -> None:
    from PIL import Image

    from .pictures import picture_of, scene_of
    from .sheet import compose
    from .speech import caption

    world, numbers = WORLDS[design.world], range(48)
    pictures = [Image.fromarray(picture_of(number, world=world)) for number in numbers]
    captions = [caption(scene_of(number, world), Random(number)) for number in numbers]
    compose(pictures, captions).save(folder / "world.png")


def _sheets(folder: Path, design: Design, checkpoint: Path) -> None:
    from .sheet import examples_of, held_out_prompts, sheet

    sheet(checkpoint, examples_of(checkpoint), folder / "examples.png")
    sheet(checkpoint, held_out_prompts(48, WORLDS[design.world]), folder / "held-out.png")
