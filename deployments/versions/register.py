"""Registers a model as a new version, pinned from its first moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.artifacts.manifest import Manifest, manifest_of
from deployments.artifacts.signing import sign
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
    private_key: Path | None = None,
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
        private_key: Signs a folder of this machine first, which puts `model.sig` into it.

    Raises:
        SetupError: It is no model, is registered already, cannot be read, or the registry refuses.
    """
    check_name(name)
    if alias is not None:
        check_alias(alias)
    entering = Entering(registry.connection)
    if isinstance(model, uris.Place) and local_path(model.source) is not None:
        origin, manifest = _uploaded(registry, model, name, artifacts, private_key)
    elif private_key is not None:
        raise RegistryError("Only a folder of this machine can be signed: fetch the model first.")
    else:
        origin, manifest = _where_it_is(registry, fetched_manifest, model)
    version = entering.create_version(name, origin, manifest, tags or {})
    if alias is not None:
        entering.set_alias(name, alias, version)
    return Registration(name, version, manifest.digest, origin.source, alias)


def _uploaded(
    registry: Registry, model: uris.Place, name: str, artifacts: Path, private_key: Path | None
) -> tuple[Origin, Manifest]:
    folder = Path(registry.locations.of(model))
    mlmodel.read(folder)
    if private_key is not None:
        sign(folder, private_key)
    # Of the files here and not of what the store then has: a damaged upload is to be noticed.
    manifest = manifest_of(folder)
    return Entering(registry.connection).upload(folder, name, artifacts), manifest


def _where_it_is(
    registry: Registry, fetched_manifest: Callable[[str], Manifest], model: uris.Reference
) -> tuple[Origin, Manifest]:
    if isinstance(model, uris.Registered):
        raise RegistryError(
            f"`{model.name}` is registered already: `penstock models promote` gives a version an alias."
        )
    place = registry.locations.of(model)
    registry.read_model_file(place)
    manifest = fetched_manifest(place)
    if isinstance(model, uris.Place):
        return Origin(place), manifest
    run_id = model.run_id if isinstance(model, uris.InRun) else None
    logged = (
        registry.locations.logged_in(model) if isinstance(model, uris.InRun) else model.model_id
    )
    if logged is not None:
        return Origin(f"models:/{logged}", run_id, logged), manifest
    return Origin(place, run_id), manifest
