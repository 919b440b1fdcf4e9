"""What comes from the environment; nothing else in Penstock reads it, so this page is the whole list.

`Settings` is an operator's. The rest of this module carries variables the other way: Ray
takes its data plane from its environment, which must be in place before Ray is first imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """An operator's settings, each from ``PENSTOCK_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", frozen=True)

    home: Path = Path(".penstock")
    """Where a local Penstock keeps its registry, artifacts and logs; git ignores it."""
    tracking_uri: str = Field(
        default="",
        validation_alias=AliasChoices("PENSTOCK_TRACKING_URI", "MLFLOW_TRACKING_URI"),
    )
    """The model registry, as MLflow names it; the one in `home` if not set."""
    environment: Literal["development", "production"] = "development"
    """In production no model is served whose files nobody vouched for."""
    cache: Path | None = None
    """Where model files are kept on each node; `cache` in `home` if not set."""
    cache_max_bytes: int = Field(default=50 * 1024**3, gt=0)
    """How large the cache may grow; what was not used for longest goes first."""
    artifact_max_bytes: int = Field(default=100 * 1024**3, gt=0)
    """The most that the files of one model version may be."""
    fetch_timeout_s: float = Field(default=900.0, gt=0)
    """How long the download of one model version may take altogether."""
    s3_endpoint_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices(
            "PENSTOCK_S3_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"
        ),
    )
    """Where an S3-compatible store listens that is not Amazon's."""
    signing_key: Path | None = None
    """The public key that every model's signature must be by; no signature is asked for if not set."""
    start_timeout_s: float = 300.0
    """How long `penstock up` waits for the service to be ready before it gives up."""
    drain_timeout_s: float = 4.0
    """How long `penstock up` gives requests in flight, once told to stop, before it cuts them off."""

    @model_validator(mode="after")
    def _absolute(self) -> Settings:
        # Ray starts its workers in folders of its own: a relative path would mean something else there.
        home = self.home.absolute()
        object.__setattr__(self, "home", home)
        object.__setattr__(self, "cache", (self.cache or home / "cache").absolute())
        if not self.tracking_uri:
            object.__setattr__(self, "tracking_uri", f"sqlite:///{home}/registry.db")
        return self

    def for_workers(self) -> dict[str, str]:
        """The variables that Ray's processes must have beside those that they inherit: paths made absolute."""
        return {
            "PENSTOCK_TRACKING_URI": self.tracking_uri,
            "PENSTOCK_CACHE": str(self.cache),
            "PENSTOCK_ENVIRONMENT": self.environment,
        }


class RayTls(BaseSettings):
    """Ray's own settings for encryption within the cluster, as Ray names them."""

    model_config = SettingsConfigDict(env_prefix="RAY_", frozen=True)

    use_tls: bool = False
    tls_server_cert: str = ""
    tls_server_key: str = ""
    tls_ca_cert: str = ""


def export(variables: Mapping[str, str], *, replace: bool = False) -> None:
    """Put `variables` into this process's environment, for Ray and all it starts; what is set stays or not."""
    for name, value in variables.items():
        if replace or name not in os.environ:
            os.environ[name] = value
