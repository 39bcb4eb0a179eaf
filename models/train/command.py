"""The command line of training: each stage resumes where it stopped, in one work folder.

world      a sheet of rendered pictures with their captions
principal  fit the encoder (seconds)
latents    render and encode the pictures to train on
diffusion  train the U-Net and the text encoder
decoder    train the decoder (needs only `principal`, so it can run beside `diffusion`)
export     write the checkpoint folder
sheet      draw the example prompts and held-out ones with a checkpoint folder
"""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

from . import decoder, diffusion, latents, shapes
from .plan import Plan
from .principal import Principal

STAGES = ("world", "principal", "latents", "diffusion", "decoder", "export", "sheet")


def main(argv: list[str] | None = None) -> int:
    """Run one stage; returns the exit status."""
    options = _parser().parse_args(argv)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    match options.stage:
        case "world":
            _world(folder)
        case "principal":
            Principal.fit(shapes.VAE["latent_channels"]).save(folder / "principal.safetensors")
        case "latents":
            principal = Principal.load(folder / "principal.safetensors")
            latents.encode(principal, folder / "latents", range(options.chunks))
        case "diffusion":
            plan = Plan(options.steps, options.decay, options.batch or 16, options.learning_rate or 8e-4)
            diffusion.Run(folder, plan).train()
        case "decoder":
            plan = Plan(options.steps, options.decay, options.batch or 4, options.learning_rate or 5e-4, warm_up=50)
            decoder.train(folder, plan)
        case "export":
            from .export import export_folder

            export_folder(folder, options.checkpoint)
        case "sheet":
            _sheets(folder, options.checkpoint)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m app train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--folder", type=Path, default=Path("build/train"), help="work folder (default: %(default)s)")
    parser.add_argument("--checkpoint", type=Path, default=Path("build/embedded"), help="folder of export and sheet")
    parser.add_argument("--chunks", type=int, default=40, help="thousands of pictures to train on")
    parser.add_argument("--steps", type=int, default=12_000, help="train up to this step")
    parser.add_argument("--decay", type=int, default=3_000, help="of these, lower the learning rate over the last ones")
    parser.add_argument("--batch", type=int, help="pictures a step (diffusion 16, decoder 4)")
    parser.add_argument("--learning-rate", type=float, help="diffusion 8e-4, decoder 5e-4")
    return parser


def _world(folder: Path) -> None:
    from PIL import Image

    from .pictures import picture_of, scene_of
    from .scene import caption
    from .sheet import compose

    numbers = range(48)
    pictures = [Image.fromarray(picture_of(number)) for number in numbers]
    compose(pictures, [caption(scene_of(number), Random(number)) for number in numbers]).save(folder / "world.png")


def _sheets(folder: Path, checkpoint: Path) -> None:
    from .export import EXAMPLES
    from .sheet import held_out_prompts, sheet

    sheet(checkpoint, EXAMPLES, folder / "examples.png")
    sheet(checkpoint, held_out_prompts(48), folder / "held-out.png")
