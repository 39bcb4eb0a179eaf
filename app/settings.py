"""Every setting, its default and its environment variable. The only module that reads the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of `serve` and `engine`: a flag wins over `MEZZOTINT_NAME` in the environment, that over the default."""

    model_config = SettingsConfigDict(env_prefix="MEZZOTINT_", frozen=True, extra="ignore")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    data: Path = Field(
        default_factory=lambda: user_data_path("mezzotint", appauthor=False),
        description="Folder for the database, images and keys.",
    )
    checkpoint: str = Field(
        "embedded", description="Default checkpoint: `embedded`, or the path of a diffusers folder."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where the networks run.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Number format of the networks."
    )
    public: bool = Field(
        False, description="Allow an address that other machines can reach, although there are no accounts."
    )
    allowed_hosts: list[str] = Field(
        default_factory=list, description="Further host names (JSON list) under which the server may be addressed."
    )
    lease_seconds: float = Field(30.0, gt=0, description="How long a claim on a job holds without renewal.")
    max_attempts: int = Field(3, ge=1, description="How often a job is started before it is given up.")
    max_pending: int = Field(100, ge=1, description="Waiting and running jobs that one browser may have.")
    concurrency: int = Field(8, ge=1, description="Jobs that the engine works on at the same time.")

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.data / 'mezzotint.sqlite3'}"

    @property
    def images(self) -> Path:
        return self.data / "images"

    @property
    def engine_socket(self) -> Path:
        return self.data / "engine.sock"
