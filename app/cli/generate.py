"""`generate`: pictures of one prompt, made in this process, with the pixels that the server gives for that recipe."""

from __future__ import annotations

import argparse
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli import again, edit
from app.cli.flags import add_settings, flag, settings_of
from app.services.catalogue import Catalogue
from app.services.edit import Sources
from app.services.errors import InvalidInput, ServiceError
from app.services.request import JobRequest
from app.settings import Settings
from models.checkpoint.facts import CheckpointError, CheckpointFacts
from models.recipe import Recipe, Sampler, Scheduler

if TYPE_CHECKING:
    from models.bundle import Bundle
    from models.calls import Predict

OPTIONS = {
    "steps": "how often the network is asked",
    "guidance_scale": "how strictly to follow the prompt; 1 is not at all beyond what the network does by itself",
    "guidance_rescale": "0 to 1; takes back the over-exposure of strong guidance",
    "guidance_start": "0 to 1; guide only from this share of the steps on: faster, and another picture",
    "guidance_end": "0 to 1; guide only until this share of the steps: faster, and another picture",
    "eta": "0 to 1; how much fresh noise DDIM and the ancestral sampler add",
    "seed": "where the noise begins; -1, the default, draws one",
    "width": "pixels, a multiple of 8",
    "height": "pixels, a multiple of 8",
    "count": "how many pictures, with seeds that follow each other",
    "subseed": "the seed of a second noise; -1, the default, draws one",
    "subseed_strength": "0 to 1; how far the noise is turned towards that of --subseed",
    "clip_skip": "1, the default, reads the text encoder's last layer, 2 the one before",
    "hires_scale": "above 1, up to 4; enlarge the picture so much afterwards, and denoise it anew",
    "hires_strength": "0 to 1; how much of the steps that second pass takes",
    "hires_steps": "of the second pass; as many as of the first by default",
}
CHOICES = {
    "sampler": f"{', '.join(Sampler)}; or as other programs call them, such as 'DPM++ 2M Karras'",
    "scheduler": f"how noise levels are spread over the steps: {', '.join(Scheduler)}",
    "hires_upscaler": "latent, lanczos",
}


def main(argv: list[str]) -> int:
    """Make the pictures and write them. Returns 1 if that failed; a wrong flag ends the program with status 2."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    settings = settings_of(parser, arguments)
    catalogue = Catalogue(settings)
    _fetch(parser, catalogue, is_quiet=arguments.quiet)
    recipes, sources = _recipes(parser, arguments, settings, catalogue)
    targets = _targets(parser, arguments.output, recipes)
    try:
        facts = catalogue.get(recipes[0].checkpoint)
        bundle = _load(settings, facts)
        compared: list[tuple[float, Path]] = []
        for recipe, target in zip(recipes, targets, strict=True):
            png, match = _made(recipe, bundle, sources, sha256=facts.sha256, is_quiet=arguments.quiet)
            _write(target, png)
            print(f"{target}  seed {recipe.seed}" + ("" if match is None else f"  match {match:.0%}"))
            compared += [] if match is None else [(match, target)]
        if len(compared) > 1:
            print(f"best match: {max(compared)[1]}")
    except (CheckpointError, ServiceError, OSError, ValueError, RuntimeError, ArithmeticError) as error:
        print(f"python3 -m app generate: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m app generate", usage="%(prog)s PROMPT [options]", description="Make pictures of a prompt."
    )
    parser.add_argument("prompt", nargs="?", help="what the picture shows")
    parser.add_argument("--negative-prompt", metavar="TEXT", help="what it should not show")
    for name, text in CHOICES.items():
        parser.add_argument(flag(name), metavar="NAME", help=text)
    parser.add_argument("--tiling", action="store_true", help="let opposite edges of the picture fit each other")
    for name, text in OPTIONS.items():
        parser.add_argument(flag(name), metavar="N", help=text)
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the PNG (default: by its seed)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    edit.add_flags(parser)
    again.add_flags(parser)
    add_settings(parser, ("checkpoint", "checkpoints", "data", "device", "dtype", "batch_rows_exact"))
    return parser


def _recipes(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, settings: Settings, catalogue: Catalogue
) -> tuple[list[Recipe], Sources | None]:
    if arguments.prompt is None and arguments.again is None:
        parser.error("say what the picture shows (PROMPT), or which one to make --again")
    names = ("prompt", "negative_prompt", *CHOICES, *OPTIONS)
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    given |= {"tiling": "true"} if arguments.tiling else {}
    try:
        if arguments.again is not None:
            recipe = again.recipe(arguments)
            return [recipe], again.sources(arguments, settings, recipe.edit) if recipe.edit else None
        request = JobRequest.from_form(given | edit.given_fields(arguments))
        sources = edit.sources(arguments, request)
        recipes = request.recipes(catalogue, sources.edit if sources else None)
        unknown = catalogue.unknown_words(None, arguments.prompt)
    except InvalidInput as error:
        parser.error("; ".join(f"{_said(item['field'])}: {item['message']}" for item in error.errors))
    except ServiceError as error:
        parser.error(f"--checkpoint: {error}")
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}")
    if unknown:
        print(f"The checkpoint does not know: {', '.join(unknown)}", file=sys.stderr)
    return recipes, sources


def _said(field: str) -> str:
    return field if field == "prompt" else flag(field)


def _targets(parser: argparse.ArgumentParser, output: Path | None, recipes: list[Recipe]) -> list[Path]:
    """Where each picture goes: `--output`, numbered if there are several, else a name that is not taken."""
    folder = output.parent if output else Path()
    if not folder.is_dir():
        parser.error(f"--output: there is no folder {folder}")
    targets = _named(output, recipes)
    for target in targets:
        if target.is_dir():
            parser.error(f"--output: {target} is a folder; name a file in it")
        if not os.access(target if target.exists() else folder, os.W_OK):
            parser.error(f"--output: {target} cannot be written; name another file")
    return targets


def _named(output: Path | None, recipes: list[Recipe]) -> list[Path]:
    if output is None:
        return [_free(f"{_slug(recipe.prompt)}-{recipe.seed}") for recipe in recipes]
    if len(recipes) == 1:
        return [output]
    suffix = output.suffix or ".png"
    return [output.with_name(f"{output.stem}-{number}{suffix}") for number in range(1, len(recipes) + 1)]


def _write(target: Path, content: bytes) -> None:
    """Put a picture into its file at once, so that a full disk or a kill leaves none that is cut off."""
    if target.exists() and not target.is_file():  # a pipe or the like
        target.write_bytes(content)
        return
    target = target.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _free(stem: str) -> Path:
    names = (f"{stem}{again}.png" for again in ("", *(f"-{number}" for number in range(2, 10_000))))
    return next(path for path in map(Path, names) if not path.exists())


def _slug(prompt: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", prompt.lower())[:6]) or "picture"


def _fetch(parser: argparse.ArgumentParser, catalogue: Catalogue, *, is_quiet: bool) -> None:
    """Download the checkpoint if it is one of the hub that is not here yet."""
    from tqdm import tqdm

    with tqdm(desc="download", unit="B", unit_scale=True, disable=is_quiet, leave=False, delay=1) as bar:

        def note(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        try:
            catalogue.fetch(note)
        except ServiceError as error:
            parser.error(f"--checkpoint: {error}")


def _load(settings: Settings, facts: CheckpointFacts) -> Bundle:
    """Load the checkpoint as the engine does, on as many threads. Raises `CheckpointError`."""
    from app.engine.threads import set_threads
    from models.checkpoint.loading import load
    from models.devices import pick_device, pick_dtype

    set_threads()
    device = pick_device(settings.device)
    bundle = load(facts.path, device=device, dtype=pick_dtype(settings.dtype, device))
    return replace(bundle, name=facts.name, exact_rows=settings.batch_rows_exact)


def _made(
    recipe: Recipe, bundle: Bundle, sources: Sources | None, *, sha256: str | None, is_quiet: bool
) -> tuple[bytes, float | None]:
    """Make a picture. Returns the PNG, and how probably it shows its prompt, 0..1, where the checkpoint can tell."""
    from app.engine.environment import environment
    from app.metadata.png import encode_png, term_of_edit
    from app.metadata.xmp import TRAINED
    from models.jobs import job_of
    from models.pixels import decode_png, to_rgb_bytes
    from models.run import run

    files = sources.brought if sources else {}
    inputs = {sha256: decode_png(png) for sha256, png in files.items()}
    term = term_of_edit(files[recipe.edit.image]) if recipe.edit else TRAINED
    with _bar(recipe, is_quiet=is_quiet) as bar:
        pixels = run(job_of(recipe, bundle, inputs), bundle, lambda call: _show(bar, call))
        bar.update(bar.total - bar.n)
    height, width = pixels.shape[-2:]
    about = environment(bundle) | ({"model_sha256": sha256} if sha256 else {})
    png = encode_png(to_rgb_bytes(pixels), width, height, recipe, about, term)
    return png, bundle.match(recipe.prompt, pixels)


def _show(bar: Any, call: Predict) -> None:
    bar.total = call.steps  # more than the recipe's with a second pass, fewer where a picture is changed in part
    bar.update(call.step - bar.n)


def _bar(recipe: Recipe, *, is_quiet: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=recipe.steps, desc=f"seed {recipe.seed}", unit="step", disable=is_quiet, leave=False)
