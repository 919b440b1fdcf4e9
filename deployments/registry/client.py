"""The model registry: from a name that people use to one immutable version, its signature and its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deployments.artifacts.manifest import Manifest
from deployments.errors import RegistryError
from deployments.registry import tags, uris
from deployments.registry.absent import absent, newest
from deployments.registry.connection import Connection
from deployments.registry.locations import Locations
from deployments.registry.model_file import reader
from deployments.registry.version import (
    ModelVersion,
    name_of_place,
    version_of_digest,
)


class Registry:
    """A model registry that MLflow can reach: a server or a database."""

    def __init__(
        self,
        registry: str | Connection,
        digest_of: Callable[[str], Manifest] | None = None,
        *,
        s3_endpoint_url: str | None = None,
    ) -> None:
        """Opens the registry; a server is asked nothing yet.

        Args:
            registry: Its address, or an open connection.
            digest_of: From the place of a model's files to their manifest, for models that are not
                registered: their version is their digest. Without it such models are refused.
            s3_endpoint_url: Where an S3-compatible store listens that is not Amazon's.

        Raises:
            RegistryError: There is none there.
        """
        self.connection = registry if isinstance(registry, Connection) else Connection(registry)
        self.locations = Locations(self.connection)
        self.read_model_file = reader(self.connection.uri, s3_endpoint_url)
        self._digest_of = digest_of

    def resolve(self, uri: str) -> ModelVersion:
        """The version that `uri` means now; see `uris` for its forms.

        Raises:
            RegistryError: The URI is none, nothing has that name, the registry is out of reach, or the
                version's artifacts are.
        """
        return self.resolve_reference(uris.parse(uri), uri)

    def resolve_reference(self, reference: uris.Reference, shown: str) -> ModelVersion:
        """The same for a URI that is parsed already; `shown` is how messages call it."""
        if not isinstance(reference, uris.Registered):
            return self._unregistered(shown, reference)
        found = self.find(reference)
        name, version = str(found.name), str(found.version)
        source = self.locations.of_registered(name, version)
        file = self.read_model_file(source)
        recorded = {str(key): str(value) for key, value in found.tags.items()}
        digest, manifest = pinned(name, version, recorded)
        return ModelVersion(
            name=name,
            version=version,
            source=source,
            flavors=tuple(sorted(file.flavors)),
            signature=file.signature,
            tags=recorded,
            digest=digest,
            manifest=manifest,
        )

    def find(self, reference: uris.Registered) -> Any:
        """MLflow's record of a registered version.

        Raises:
            RegistryError: There is none; the message says what is there instead.
        """
        name, client = reference.name, self.connection.client
        if reference.alias is not None:
            alias = reference.alias
            found = self.connection.look(lambda: client.get_model_version_by_alias(name, alias))
        elif reference.version == uris.LATEST:
            found = newest(self.connection, name)
        else:
            found = self.connection.look(lambda: client.get_model_version(name, reference.version))
        if found is None:
            raise absent(self.connection, reference)
        return found

    def _unregistered(
        self, shown: str, reference: uris.Logged | uris.InRun | uris.Place
    ) -> ModelVersion:
        if self._digest_of is None:
            raise RegistryError(
                f"`{shown}` is not a registered version, and one is needed here: register it "
                "(`penstock models register`) and name it models:/NAME@ALIAS or models:/NAME/NUMBER."
            )
        source = self.locations.of(reference)
        file = self.read_model_file(source)
        manifest = self._digest_of(source)
        named = reference.path if isinstance(reference, uris.InRun) else source
        return ModelVersion(
            name=name_of_place(named),
            version=version_of_digest(manifest.digest),
            source=source,
            flavors=tuple(sorted(file.flavors)),
            signature=file.signature,
            digest=manifest.digest,
            manifest=manifest.text,
            registered=False,
        )


def pinned(name: str, version: str, recorded: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The digest and the manifest in a version's tags.

    Raises:
        RegistryError: The digest is none; the message names the version.
    """
    try:
        return tags.decode(recorded)
    except RegistryError as exc:
        raise RegistryError(
            f"`{name}` version {version}: {exc.message}. Whoever changed it may have changed its files: "
            f"look at them, then `penstock models pin {name}/{version} --force`."
        ) from exc
