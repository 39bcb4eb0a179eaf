"""Pictures that were interrupted, as they stood: A1111 answers those too. Here they are previews, soon forgotten."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from app.metadata.png import encode_png
from app.metadata.xmp import COMPOSITE, TRAINED
from app.services import generate
from app.services.store import Store
from app.services.views import GroupView, JobView


@dataclass(frozen=True)
class Unfinished:
    """The last previews of what was cancelled of a request, by job."""

    previews: Mapping[str, bytes]

    @classmethod
    def of(cls, store: Store, owner: str, group: GroupView) -> Unfinished:
        """Look for them."""
        cancelled = (job.id for job in group.jobs if job.status == "cancelled")
        found = {job_id: generate.preview(store, owner, job_id) for job_id in cancelled}
        return cls({job_id: preview[1] for job_id, preview in found.items() if preview})

    def picture(self, job: JobView) -> bytes:
        """A PNG at the size that the picture would have had, with the mark of a model's work alone."""
        recipe = job.recipe
        size = recipe.hires.size(recipe.width, recipe.height) if recipe.hires else (recipe.width, recipe.height)
        with Image.open(io.BytesIO(self.previews[job.id]), formats=["PNG"]) as preview:
            whole = preview.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        return encode_png(whole.tobytes(), *size, None, {}, COMPOSITE if recipe.edit else TRAINED)
