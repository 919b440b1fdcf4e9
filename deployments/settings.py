"""What comes from the environment; nothing else in Penstock reads it, so this page is the whole list.

Three settings are an operator's (`Settings`). The rest of this module carries variables the other way: Ray
takes its data plane from its environment, which must be in place before Ray is first imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

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
    start_timeout_s: float = 300.0
    """How long `penstock up` waits for the service to be ready before it gives up."""
    drain_timeout_s: float = 4.0
    """How long `penstock up` gives requests in flight, once told to stop, before it cuts them off."""

    @model_validator(mode="after")
    def _absolute(self) -> Settings:
        # Ray starts its workers in folders of its own: a relative path would mean something else there.
        home = self.home.absolute()
        object.__setattr__(self, "home", home)
        if not self.tracking_uri:
            object.__setattr__(self, "tracking_uri", f"sqlite:///{home}/registry.db")
        return self


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
