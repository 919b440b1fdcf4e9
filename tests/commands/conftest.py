"""The `models` commands against a real MLflow server, as an operator's environment names it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mlflow import MlflowClient

from deployments.registry.client import Registry
from tests.commands.penstock import Done, penstock
from tests.registry.server import MlflowServer

Call = Callable[..., Done]

_NUMBERS = itertools.count()


class Trees:
    """A model of a name of its own: one version, uploaded and registered by MLflow alone, so not pinned."""

    def __init__(self, server: MlflowServer, folder: Path) -> None:
        self.client = MlflowClient(server.url, server.url)
        self.name = f"trees-{next(_NUMBERS)}"
        experiment = self.client.create_experiment(self.name)
        logged = self.client.create_logged_model(experiment, name="forest")
        self.client.log_model_artifacts(logged.model_id, str(folder))
        self.client.finalize_logged_model(logged.model_id, "READY")
        self.client.create_registered_model(self.name)
        self.model_id = str(logged.model_id)
        self.add_version()
        place = urlsplit(Registry(server.url).resolve(f"models:/{self.name}/1").source).path
        self.stored = server.artifacts / place.lstrip("/")
        """Where the server keeps the files, to be tampered with."""

    def add_version(self) -> None:
        self.client.create_model_version(
            self.name, f"models:/{self.model_id}", model_id=self.model_id
        )

    def tags(self, version: str = "1") -> dict[str, str]:
        return dict(self.client.get_model_version(self.name, version).tags)


@pytest.fixture
def call(
    mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Call]:
    """Calls `penstock models`, with a home and a cache of its own."""
    monkeypatch.setenv("PENSTOCK_TRACKING_URI", mlflow_server.url)
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    yield lambda *arguments: penstock(monkeypatch, "models", *arguments)
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


@pytest.fixture
def trees(mlflow_server: MlflowServer, model_folder: Path) -> Trees:
    return Trees(mlflow_server, model_folder)
