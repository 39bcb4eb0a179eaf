"""What a client of the A1111 dialect may set for itself: an allow-list with types; all else is ignored or refused.

Nobody's setting changes what another caller gets: even the checkpoint is switched for the one who asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.services.catalogue import Catalogue
from app.services.errors import InvalidInput
from app.storage import client_options
from app.storage.store import Store
from models.checkpoint.facts import CheckpointFacts
from models.recipe import MAX_CLIP_SKIP, explain

SHORT_HASH = 10


class Options(BaseModel):
    """The options that mean something here, under A1111's names."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    sd_model_checkpoint: Annotated[str, Field(max_length=300)] | None = None
    CLIP_stop_at_last_layers: Annotated[int, Field(ge=1, le=MAX_CLIP_SKIP)] = 1
    eta_ddim: Annotated[float, Field(ge=0, le=1)] = 0.0
    samples_format: Literal["png", "jpg", "jpeg", "webp"] = "png"
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 80
    img2img_color_correction: bool = False


def get(store: Store, catalogue: Catalogue, owner: str) -> Options:
    """What the owner has set; the defaults for the rest, and for a checkpoint that is not here any more."""
    with store.read() as tx:
        options = Options.model_validate(client_options.of(tx, owner))
    try:
        catalogue.get(options.sd_model_checkpoint)
    except InvalidInput:
        return options.model_copy(update={"sd_model_checkpoint": None})
    return options


def changed(catalogue: Catalogue, options: Options, changes: Mapping[str, Any], prefix: str = "") -> Options:
    """Return the options with these changes; unknown names are ignored. Raises `InvalidInput` for a wrong value."""
    try:
        wanted = Options.model_validate({**options.model_dump(), **_known(changes)})
    except ValidationError as error:
        raise InvalidInput([{**item, "field": f"{prefix}{item['field']}"} for item in explain(error)]) from error
    if wanted.sd_model_checkpoint is None:
        return wanted
    facts = checkpoint_of(catalogue, wanted.sd_model_checkpoint, f"{prefix}sd_model_checkpoint")
    return wanted.model_copy(update={"sd_model_checkpoint": facts.name})


def change(store: Store, catalogue: Catalogue, owner: str, changes: Mapping[str, Any]) -> None:
    """Keep what the owner sets, and of the rest whatever is kept by then. Raises `InvalidInput` as `changed` does."""
    wanted = changed(catalogue, get(store, catalogue, owner), changes).model_dump(include=set(_known(changes)))
    with store.write() as tx:
        options = Options.model_validate({**client_options.of(tx, owner), **wanted})
        client_options.put(tx, owner, options.model_dump(exclude_defaults=True))


def checkpoint_of(catalogue: Catalogue, name: str, field: str) -> CheckpointFacts:
    """Return the checkpoint that a client means: its name, title or hash, whatever the case. Raises `InvalidInput`."""
    wanted = name.strip().lower()
    offered = catalogue.checkpoints()
    for facts in offered:
        if wanted in {
            spelling.lower() for spelling in (facts.name, facts.title, title(facts), short_hash(facts) or "-")
        }:
            return facts
    names = ", ".join(title(facts) for facts in offered)
    raise InvalidInput([{"field": field, "message": f"There is no checkpoint {name!r}; there is: {names}."}])


def title(facts: CheckpointFacts) -> str:
    """Return the title by which A1111's clients know a checkpoint: `name [hash]`, as soon as the hash is known."""
    known = short_hash(facts)
    return f"{facts.name} [{known}]" if known else facts.name


def short_hash(facts: CheckpointFacts) -> str | None:
    """Return the first 10 hexadecimal digits of the file's SHA-256, None while it is not known."""
    return facts.sha256[:SHORT_HASH] if facts.sha256 else None


def _known(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if name in Options.model_fields and value not in (None, "")}
