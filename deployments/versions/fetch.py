"""Gets the files of a model version, asking the registry only when they are really needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deployments.registry.patience import PATIENCE
from deployments.settings import export


def fetch_from(tracking_uri: str) -> Callable[[str, str], Path]:
    """A function from a model's name and version to the folder with its files.

    The registry is opened by the first call and not before: it takes MLflow, which takes seconds, and most
    replicas never need it.
    """

    def fetch(name: str, version: str) -> Path:
        from deployments.registry.client import Registry

        export(PATIENCE)
        registry = Registry(tracking_uri)
        return registry.artifact_folder(registry.resolve(f"models:/{name}/{version}"))

    return fetch
