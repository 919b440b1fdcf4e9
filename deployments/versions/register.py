"""Registers a model as a new version, pinned from its first moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.artifacts.manifest import Manifest, manifest_of
from deployments.errors import RegistryError
from deployments.inference import mlmodel
from deployments.registry import uris
from deployments.registry.client import Registry
from deployments.registry.entering import Entering, Origin, check_alias, check_name
from deployments.registry.version import local_path


@dataclass(frozen=True, slots=True)
class Registration:
    """The new version: its number, the digest recorded with it, and where its files are."""

    name: str
    version: str
    digest: str
    source: str
    alias: str | None


def register(
    registry: Registry,
    fetched_manifest: Callable[[str], Manifest],
    model: uris.Reference,
    name: str,
    *,
    artifacts: Path,
    alias: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Registration:
    """Makes `model` the next version of `name`.

    A folder of this machine is uploaded; anything that a store has already is registered where it lies.

    Args:
        registry: Where to.
        fetched_manifest: From the place of files in a store to their manifest.
        model: A folder, a place in a store, a run's model or a logged one.
        name: The registered model, made if it is not there.
        artifacts: Where a registry that is a database keeps uploaded files.
        alias: To be pointed at the new version.
        tags: More tags for the version.

    Raises:
        SetupError: It is no model, is registered already, cannot be read, or the registry refuses.
    """
    check_name(name)
    if alias is not None:
        check_alias(alias)
    entering = Entering(registry.connection)
    origin, manifest = _origin(registry, entering, fetched_manifest, model, name, artifacts)
    version = entering.create_version(name, origin, manifest, tags or {})
    if alias is not None:
        entering.set_alias(name, alias, version)
    return Registration(name, version, manifest.digest, origin.source, alias)


def _origin(
    registry: Registry,
    entering: Entering,
    fetched_manifest: Callable[[str], Manifest],
    model: uris.Reference,
    name: str,
    artifacts: Path,
) -> tuple[Origin, Manifest]:
    if isinstance(model, uris.Registered):
        raise RegistryError(
            f"models:/{model.name}… is registered already: `penstock models promote` gives it an alias."
        )
    place = registry.locations.of(model)
    folder = local_path(place)
    if isinstance(model, uris.Place) and folder is not None:
        mlmodel.read(folder)
        # Of the files here and not of what the store then has: a damaged upload is to be noticed.
        manifest = manifest_of(folder)
        return entering.upload(folder, name, artifacts), manifest
    registry.read_model_file(place)
    manifest = fetched_manifest(place)
    if isinstance(model, uris.Logged):
        return Origin(f"models:/{model.model_id}", model_id=model.model_id), manifest
    if isinstance(model, uris.InRun):
        logged = registry.locations.logged_in(model)
        if logged is not None:
            return Origin(f"models:/{logged}", model_id=logged), manifest
        return Origin(place, run_id=model.run_id), manifest
    return Origin(place), manifest
