"""Painting on beyond a picture's edges: to the sides first, then above and below what has come of that.

A network knows wide landscapes; asked for a corner at once, it begins another scene there.
"""

from __future__ import annotations

import torch

from models.calls import Backdrop
from models.crop import Box
from models.denoise import Showing
from models.edit import MIN_SIDE, Edit
from models.infill import infill
from models.inpaint import Job, inpaint
from models.recipe import Recipe
from models.scene import Scene
from models.walk import ModelFacts, steps_taken


def outpaint(recipe: Recipe, model: ModelFacts, edit: Edit, scene: Scene) -> Job:
    """Repaint what the scene says as `inpaint` does; in two passes where it goes beyond a side and above or below.

    The first works on those rows alone that show the image, if they are enough to show a scene, and repaints the mask.
    Each pass takes the recipe's steps and draws from its seed anew. Pictures that tile are painted at once, since
    what is above the first row of the rows alone is not what is below the last one.
    """
    shown = (~scene.beyond).any(3).flatten()
    taken, height, top = steps_taken(recipe.steps, edit.strength), int(shown.sum()), int(shown.float().argmax())
    beside, above_or_below = bool((scene.beyond & shown.view(-1, 1)).any()), not bool(shown.all())
    if not (beside and above_or_below) or height < MIN_SIDE or recipe.tiling or taken == 0:
        return (yield from inpaint(recipe, model, edit, scene, Showing()))
    rows = Box(0, top, len(scene.pixels[0, 0, 0]), height)
    showing = Showing(after=taken, backdrop=Backdrop(scene.pixels, (rows.left, rows.top, rows.width, rows.height)))
    painted = yield from inpaint(recipe, model, edit, scene.cut(rows), showing)
    beyond = torch.ones_like(scene.beyond)
    rows.cut(beyond)[:] = False
    pixels = infill(rows.put(painted.clamp(-1, 1), scene.pixels), ~beyond, edit.infill, recipe.seed)
    widened = Scene(pixels, pixels, ~beyond, beyond.float(), beyond)
    return (yield from inpaint(recipe, model, edit, widened, Showing(before=taken)))
