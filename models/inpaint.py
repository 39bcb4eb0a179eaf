"""Repainting a part of a picture, so that nobody finds where it begins: inpainting and outpainting."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from models.calls import Backdrop, Call, Decode, EncodeImage
from models.conditioning import conditioning
from models.crop import Box, surroundings
from models.denoise import Showing
from models.edit import Edit, MaskedContent
from models.masks import cells, grown, ramp
from models.match import hold, hold_smooth, match_colours, off_plane
from models.noise import NoiseSource
from models.recipe import Recipe
from models.resize import extend, lanczos, largest
from models.scene import Scene
from models.walk import LatentFacts, ModelFacts, Start, masked_channels, steps_taken, takes_masks, walk

Job = Generator[Call, Tensor, Tensor]

LEAN = 0.8  # how far, of 1, the network is drawn to what a plain picture leads one to expect beyond its edge
CONTEXT = 64  # pixels of the picture, from its left and right edge, that say how plain it is there
STRIP = 20  # pixels, from its top and bottom edge
UNLIKE = 6 / 127.5  # what these are off a plane by, where what is beyond is half as likely to be something else
CLINGING = 4  # how fast that sets in below a strength of 1, where it is nothing; it is all at 0.75


@dataclass(frozen=True, eq=False)
class Work:
    """What the network works on: the `content` (1, 3, H, W) to begin from, the `pixels` to keep, the mask of 0..1.

    Its sides are multiples of the checkpoint's factor. Where `lean` (1, 1, H, W) is above 0 the network is drawn to
    the pixels that it begins from.
    """

    pixels: Tensor
    content: Tensor
    mask: Tensor
    lean: Tensor | None = None
    showing: Showing = field(default_factory=Showing)


def inpaint(recipe: Recipe, model: ModelFacts, edit: Edit, scene: Scene, showing: Showing) -> Job:
    """Repaint the scene's mask, grown by `edit.grow`, and what lies beyond the image, with `edit.overlap` of it.

    Outside of that the pixels are those of the scene. `showing` has the whole picture, and the place of the scene in
    it, where the scene is only a part.

    Encodes the prompts, then the picture, then, for an inpainting U-Net, the masked picture. Draws latent noise under
    the mask if that was asked for, the initial noise, and then what the sampler draws. No step, no change.
    """
    if steps_taken(recipe.steps, edit.strength) == 0:
        return scene.content
    within = grown(torch.where(scene.beyond, 0.0, scene.mask), edit.grow)
    mask = torch.maximum(within, grown(scene.beyond.float(), min(edit.overlap, scene.shorter_side // 4)))
    box, height, width = _place(edit, mask, model.config)
    clung = _clung(edit, scene)
    work = _work(scene, box, mask, clung, height, width, model.config.vae_factor)
    work = replace(work, showing=_shown(showing, scene, box, work, height, width))
    painted = yield from repaint(recipe, model, edit, work)
    painted = lanczos(painted[:, :, :height, :width], box.height, box.width)
    return box.put(_blend(edit, painted, box, scene, mask, clung), scene.pixels)


def repaint(recipe: Recipe, model: ModelFacts, edit: Edit, work: Work) -> Job:
    """Denoise the masked part of what the network works on; return all of its pixels, the kept ones encoded too.

    At strength 1 it begins with noise alone and else with the noised content, as diffusers' inpainting does.
    """
    taken, config = steps_taken(recipe.steps, edit.strength), model.config
    guidance = yield from conditioning(recipe)
    known = yield EncodeImage(work.pixels)
    content = known if work.content is work.pixels else (yield EncodeImage(work.content))
    mask = cells(work.mask, config.vae_factor)
    noise = NoiseSource.of(recipe, tuple(known.shape))
    match edit.masked_content:
        case MaskedContent.LATENT_NOISE:
            content = torch.lerp(content, noise.aside(), mask)
        case MaskedContent.LATENT_NOTHING:
            content = content * (1 - mask)
    extra = None
    if takes_masks(config):
        extra = yield from masked_channels(work.pixels, work.mask, config.vae_factor)
    keeps = extra is None or bool(((mask > 0) & (mask < 1)).any())  # else the network is told what to keep
    start = Start(
        taken,
        content=None if taken == recipe.steps else content,
        known=known if keeps else None,
        mask=mask,
        lean=None if work.lean is None else F.avg_pool2d(work.lean, config.vae_factor),
        extra=extra,
    )
    latents = yield from walk(recipe, model, start, guidance=guidance, noise=noise, showing=work.showing)
    return (yield Decode(latents))


def _place(edit: Edit, mask: Tensor, config: LatentFacts) -> tuple[Box, int, int]:
    """The box that is worked on and the height and width at which that is done."""
    if not edit.only_masked:
        height, width = mask.shape[2:]
        return Box(0, 0, width, height), height, width
    width, height = edit.work_width or config.width, edit.work_height or config.height
    box = surroundings(mask, edit.padding, width=width, height=height)
    return box, height, width


def _work(scene: Scene, box: Box, mask: Tensor, clung: Tensor, height: int, width: int, factor: int) -> Work:
    pixels = extend(lanczos(box.cut(scene.pixels), height, width).clamp(-1, 1), factor)
    content = pixels
    if scene.content is not scene.pixels:
        content = extend(lanczos(box.cut(scene.content), height, width).clamp(-1, 1), factor)
    white = extend(largest(box.cut(mask), height, width), factor)
    lean = None
    if bool((clung > 0).any()):
        lean = LEAN * extend(lanczos(box.cut(clung), height, width).clamp(0, 1), factor)
    return Work(pixels, content, white, lean)


def _clung(edit: Edit, scene: Scene) -> Tensor:
    """How closely (1, 1, H, W) 0..1 what is beyond the image, and its overlap, goes on from it.

    Closely beyond a side where all that is known next to it is plain, or a gradient, so that the infill tells what is
    to be expected. The nearer a strength of 1, the less.
    """
    share, clung = min(1.0, CLINGING * (1 - edit.strength)), torch.zeros_like(scene.mask)
    if share == 0:
        return clung
    for inwards, deep in _inwards(scene):
        near = scene.known & (inwards >= 0) & (inwards < deep)
        if bool((inwards < 0).any()) and bool(near.any()):
            plain = share / (1 + (off_plane(scene.pixels, near) / UNLIKE) ** 4)
            clung = torch.maximum(clung, plain * (inwards < edit.overlap))
    return clung


def _inwards(scene: Scene) -> Iterator[tuple[Tensor, int]]:
    """For each side of the image how far inwards each pixel lies of it (1, 1, H, W), and how deep one looks there.

    Scenes lie in layers: of the ground below and the sky above a strip tells what goes on, at the sides it does not.
    """
    for axis, deep in ((2, STRIP), (3, CONTEXT)):
        shown = torch.nonzero((~scene.beyond).any(5 - axis).flatten()).flatten()
        places = torch.arange(scene.beyond.shape[axis]).view((-1, 1) if axis == 2 else (1, -1))
        for inwards in (places - shown[0], shown[-1] - places):
            yield inwards.expand_as(scene.beyond), deep


def _shown(showing: Showing, scene: Scene, box: Box, work: Work, height: int, width: int) -> Showing:
    """What is shown of the work: its place in the picture, if that is more."""
    ground = showing.backdrop or Backdrop(scene.pixels, (0, 0, 0, 0))
    left, top = ground.place[:2]
    place = (left + box.left, top + box.top, *_in_frame(box, work.pixels, height, width))
    is_whole = place == (0, 0, ground.pixels.shape[3], ground.pixels.shape[2])
    return replace(showing, backdrop=None if is_whole else replace(ground, place=place))


def _in_frame(box: Box, pixels: Tensor, height: int, width: int) -> tuple[int, int]:
    """Width and height in the frame of all that is worked on, what was added to its right and bottom included."""
    return round(box.width * pixels.shape[3] / width), round(box.height * pixels.shape[2] / height)


def _blend(edit: Edit, painted: Tensor, box: Box, scene: Scene, mask: Tensor, clung: Tensor) -> Tensor:
    """Put what was painted into the picture, with the picture's own pixels outside the mask and a ramp within it."""
    pixels, known, region = box.cut(scene.pixels), box.cut(scene.known), box.cut(mask) > 0
    if edit.color_match:
        painted = match_colours(painted, pixels, region, known)
        painted = hold(painted, pixels, box.cut(clung))
        painted = hold_smooth(painted, pixels, region, known)
    share = box.cut(ramp(mask > 0, 2 * edit.mask_blur, whole=~scene.known))
    return torch.where(share > 0, pixels + (painted - pixels) * share, pixels)
