"""The JSON of `/api/checkpoints`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from app.services.entries import Download
from app.web.checkpoints import CheckpointView, Shelves


class Checkpoint(BaseModel):
    """A checkpoint that images can be asked from. `state` is the engine's: available, loading, ready or failed."""

    name: str
    title: str | None
    family: str | None
    width: int
    height: int
    size_multiple: int
    prediction_type: str | None
    inpainting: bool
    dtypes: Annotated[list[str], Field(description="The number formats of its files.")]
    bytes: Annotated[int, Field(description="Of its files of weights.")]
    sha256: Annotated[str | None, Field(description="Of its file (a folder: of its U-Net's), null until known.")]
    hashing: Annotated[float | None, Field(description="0 to 1 while its file is read for the hash, else null.")]
    memory: Annotated[int, Field(description="Bytes that it takes in the engine.")]
    defaults: dict[str, Any]
    examples: list[str]
    warnings: list[str]
    is_default: bool
    state: str
    error: str | None

    @classmethod
    def of(cls, view: CheckpointView) -> Checkpoint:
        facts = view.facts
        return cls(
            **facts.model_dump(include={*cls.model_fields} & {*type(facts).model_fields}),
            hashing=view.hashing,
            memory=view.memory,
            is_default=view.is_default,
            state=view.state,
            error=view.error,
        )


class UnusableCheckpoint(BaseModel):
    """One that cannot be used: why, and what helps."""

    name: str
    message: str


class CheckpointDownload(BaseModel):
    """A checkpoint that is on its way from the hub; `state` is running, waiting (for the hub) or failed."""

    name: str
    state: str
    done_bytes: int
    total_bytes: int
    error: str | None

    @classmethod
    def of(cls, download: Download) -> CheckpointDownload:
        return cls(
            name=download.name,
            state=download.state,
            done_bytes=download.done,
            total_bytes=download.total,
            error=download.error,
        )


class Checkpoints(BaseModel):
    """All checkpoints, and why others cannot be used (`problems` says the same as `unusable`, in sentences)."""

    checkpoints: list[Checkpoint]
    unusable: list[UnusableCheckpoint]
    downloads: list[CheckpointDownload]
    problems: list[str]

    @classmethod
    def of(cls, shelves: Shelves) -> Checkpoints:
        return cls(
            checkpoints=[Checkpoint.of(view) for view in shelves.checkpoints],
            unusable=[UnusableCheckpoint(name=item.name, message=item.message) for item in shelves.unusable],
            downloads=[CheckpointDownload.of(download) for download in shelves.downloads],
            problems=[item.message for item in shelves.unusable],
        )
