"""Checks that the files of a model are those that were registered, as they are in the store at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deployments.artifacts.manifest import Manifest
from deployments.artifacts.manifest import verify as verify_files
from deployments.artifacts.signing import verify_signature
from deployments.errors import RegistryError
from deployments.registry import uris
from deployments.registry.client import Registry, pinned
from deployments.registry.version import local_path
from deployments.versions.download import Downloads


@dataclass(frozen=True, slots=True)
class Expected:
    """Where the files lie and what they should be; the digest is None where nobody says."""

    source: str
    digest: str | None
    manifest: Manifest | None = None


def expected(registry: Registry, reference: uris.Reference, digest: str | None) -> Expected:
    """What a model's files should be: by `digest` if it is given, else by what is recorded on the version.

    Raises:
        RegistryError: There is no such model.
    """
    if not isinstance(reference, uris.Registered):
        return Expected(registry.locations.of(reference), digest)
    found = registry.find(reference)
    name, version = str(found.name), str(found.version)
    source = registry.locations.of_registered(name, version)
    if digest is not None:
        return Expected(source, digest)
    recorded, manifest = pinned(name, version, dict(found.tags))
    if recorded is None:
        raise RegistryError(
            f"`{name}` version {version} is not pinned, so there is nothing to verify it against: run "
            f"`penstock models pin {name}/{version}`, or give a digest with `--digest`."
        )
    return Expected(source, recorded, Manifest.parse(manifest) if manifest else None)


def verify(what: Expected, downloads: Downloads, key: Path | None = None) -> None:
    """Fetches the files, unless they lie on this machine, and checks them. The cache is not asked.

    A node's cache holds what was right when it was fetched; the question here is what the store holds now.

    Args:
        what: What they should be.
        downloads: Fetches them.
        key: A public key that the model's signature must be by, besides.

    Raises:
        DigestMismatch: They are others; it names each missing, extra and changed file where it can.
        ArtifactError: They cannot be had.
    """
    folder = local_path(what.source)
    if folder is not None:
        _check(folder, what, key)
        return
    with downloads.fresh(what.source) as fetched:
        _check(fetched, what, key)


def _check(folder: Path, what: Expected, key: Path | None) -> None:
    if what.digest is not None:
        verify_files(folder, what.digest, what.manifest)
    if key is not None:
        verify_signature(folder, key)
