"""Every setting, its default and its environment variable. The only module that reads the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def at_home(path: Path | str) -> Path:
    """The path with a home for its `~`; that of an unknown person stays as it is."""
    return Path(os.path.expanduser(path))


class Settings(BaseSettings):
    """Settings of `serve` and `engine`: a flag wins over `MEZZOTINT_NAME` in the environment, that over the default."""

    model_config = SettingsConfigDict(env_prefix="MEZZOTINT_", env_ignore_empty=True, frozen=True, extra="ignore")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    data: Path = Field(
        default_factory=lambda: user_data_path("mezzotint", appauthor=False),
        description="Folder for the database, images and keys.",
    )
    checkpoint: str = Field(
        "embedded",
        description="Default checkpoint: `embedded`, a path, a name out of the folders, or `org/name[@revision]`.",
    )
    checkpoints: list[Path] = Field(
        default_factory=list,
        description="Folders in which checkpoints are looked for (in the environment a JSON list).",
    )
    checkpoint_memory: float = Field(
        0.0, ge=0, description="GiB of loaded checkpoints to keep; 0 is half of the device's memory."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where the networks run.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Number format of the networks."
    )
    batch_rows_exact: int = Field(
        0, ge=0, le=64, description="Rows of every U-Net call, filled up, so that company changes no bit; 0: off."
    )
    compile: bool = Field(
        False, description="Compile small networks in the background, by a C++ compiler; pictures differ by rounding."
    )
    public: bool = Field(
        False, description="Allow an address that other machines can reach, although there are no accounts."
    )
    allowed_hosts: list[str] = Field(
        default_factory=list, description="Further host names (JSON list) under which the server may be addressed."
    )
    cors_origins: list[Annotated[str, Field(pattern=r"^https?://[^/*@\s]+$")]] = Field(
        default_factory=list,
        description="Origins (JSON list) whose pages may use the APIs, such as `http://localhost:3000`.",
    )
    prompt_in_files: bool = Field(
        True, description="Write prompt and settings into new image files; the mark of a model's work always is."
    )
    reuse: bool = Field(
        True, description="Give a job whose owner has its very picture already that one, instead of making it again."
    )
    lease_seconds: float = Field(30.0, gt=0, description="How long a claim on a job holds without renewal.")
    max_attempts: int = Field(3, ge=1, description="How often a job is started before it is given up.")
    max_pending: int = Field(100, ge=1, description="Waiting and running jobs that one browser may have.")
    max_uploads: int = Field(500, ge=1, description="Uploaded pictures that one browser may keep.")
    max_canvases: int = Field(100, ge=1, description="Canvases that one browser may keep.")
    concurrency: int = Field(8, ge=1, description="Jobs that the engine works on at the same time.")

    @field_validator("data", "checkpoints")
    @classmethod
    def _at_home(cls, value: Path | list[Path]) -> Path | list[Path]:
        """`~` is somebody's home: a shell says so for `--data ~/x`, but not for `--data=~/x` or in a service's file."""
        return at_home(value) if isinstance(value, Path) else [at_home(path) for path in value]

    @property
    def database(self) -> Path:
        return self.data / "mezzotint.sqlite3"

    @property
    def images(self) -> Path:
        return self.data / "images"

    @property
    def own_checkpoints(self) -> Path:
        """A folder in which checkpoints are looked for besides those of `checkpoints`; it need not be there."""
        return self.data / "checkpoints"

    @property
    def measurements(self) -> Path:
        """What the engine has found out about this machine."""
        return self.data / "measurements.json"

    @property
    def libraries(self) -> Path:
        """The networks that were compiled for this machine."""
        return self.data / "compiled"

    @property
    def engine_socket(self) -> Path:
        return self.data / "engine.sock"
