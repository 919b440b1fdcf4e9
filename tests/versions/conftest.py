"""A registry of the tests' own, and what a replica does with a version in it, up to its first request."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployments.artifacts.manifest import manifest_of
from deployments.registry import uris
from deployments.registry.client import Registry
from deployments.registry.connection import Connection
from deployments.registry.version import local_path
from deployments.settings import Settings
from deployments.spec.args import ModelArgs, VersionArgs
from deployments.versions.build import Builder, Built
from deployments.versions.fetch import Files
from deployments.versions.register import register


@dataclass
class Place:
    """A registry in a folder, a node's cache, and the environment that a replica is started in."""

    home: Path
    files: list[Files] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.home}/registry.db"

    @property
    def database(self) -> Path:
        return self.home / "registry.db"

    def settings(self, **more: object) -> Settings:
        return Settings(home=self.home / "node", PENSTOCK_TRACKING_URI=self.uri, **more)

    def register(self, name: str, save: Callable[[Path], None]) -> Path:
        """Saves a model and registers it, pinned; answers the folder in which the registry keeps it."""
        folder = self.home / "saved" / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        save(folder)
        registry = Registry(Connection(self.uri))
        made = register(
            registry, manifest_of, uris.parse(str(folder)), name, artifacts=self.home / "artifacts"
        )
        stored = local_path(registry.locations.of_registered(name, made.version))
        assert stored is not None
        return stored

    def replica(self, name: str, *, settings: Settings | None = None, **model: object) -> Built:
        """What a fresh replica of version 1 builds, as if in a process of its own."""
        files = Files(settings or self.settings())
        self.files.append(files)
        args = VersionArgs(model=ModelArgs(name=name, version="1", **model), max_rows=4)
        return Builder(args, fetch=files.folder_of, gpus=[], cpus=1).build(["model"])

    def forget(self) -> None:
        """A minute passes: what the registry said is not fresh any more."""
        remembered = self.home / "node" / "cache" / "remembered"
        for path in remembered.glob("*.json"):
            path.write_text(path.read_text().replace('"at":', '"at":1.0,"was":'))

    @property
    def cache(self) -> Path:
        return self.home / "node" / "cache"


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry without a model: making its tables takes MLflow seconds, copying the file does not."""
    database = tmp_path_factory.mktemp("empty registry") / "registry.db"
    Registry(
        Connection(f"sqlite:///{database}", create=True)
    ).connection.client.search_experiments()
    return database


@pytest.fixture
def place(tmp_path: Path, empty_registry: Path) -> Iterator[Place]:
    shutil.copy(empty_registry, tmp_path / "registry.db")
    made = Place(tmp_path)
    yield made
    for files in made.files:
        files.close()
