"""What is written into the registry: a new version, its digest, an alias."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployments.artifacts.manifest import Manifest
from deployments.errors import RegistryError
from deployments.registry import tags
from deployments.registry.connection import Connection

_UPLOAD_TIMEOUT_S = 300
_NAME = re.compile(r"[^/:@\s]+")
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,255}")
_VERSION_LIKE = re.compile(r"v\d+|latest", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a new version is made of, in MLflow's terms.

    Attributes:
        source: A logged model as `models:/m-…`, or the place of the files.
        run_id: The run whose artifacts it is among; a server insists on it.
        model_id: The logged model.
    """

    source: str
    run_id: str | None = None
    model_id: str | None = None


class Entering:
    """Writes to one registry."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def upload(self, folder: Path, name: str, artifacts: Path) -> Origin:
        """Logs a model folder as it is, byte for byte, into the registry's own artifact store.

        Args:
            folder: A folder with an `MLmodel` file.
            name: The experiment, made if it is not there, and the logged model.
            artifacts: Where a new experiment's artifacts go if the registry is a database; a server knows.

        Raises:
            RegistryError: The registry or its store does not take it.
        """
        client, ask = self._connection.client, self._connection.ask
        experiment = ask(lambda: client.get_experiment_by_name(name))
        if experiment is None:
            place = None if self._connection.host else artifacts.absolute().as_uri()
            experiment_id = str(ask(lambda: client.create_experiment(name, place)))
        else:
            experiment_id = str(experiment.experiment_id)
        model = ask(lambda: client.create_logged_model(experiment_id, name=name), once=True)
        try:
            with _time_for_uploads():
                ask(lambda: client.log_model_artifacts(model.model_id, str(folder)))
        except RegistryError:
            self._connection.look(lambda: client.finalize_logged_model(model.model_id, "FAILED"))
            raise
        ask(lambda: client.finalize_logged_model(model.model_id, "READY"))
        return Origin(f"models:/{model.model_id}", model_id=str(model.model_id))

    def create_version(
        self, name: str, origin: Origin, manifest: Manifest, more: Mapping[str, str]
    ) -> str:
        """Registers a new version, pinned from its first moment, and gives its number.

        Raises:
            RegistryError: The name cannot be one, or the registry refuses.
        """
        check_name(name)
        client, ask = self._connection.client, self._connection.ask
        if self._connection.look(lambda: client.get_registered_model(name)) is None:
            ask(lambda: client.create_registered_model(name))
        with _as_mlflows_own(self._connection.uri):
            made = ask(
                lambda: client.create_model_version(
                    name,
                    origin.source,
                    run_id=origin.run_id,
                    tags={**more, **tags.encode(manifest.digest, manifest.text)},
                    model_id=origin.model_id,
                ),
                once=True,
            )
        return str(made.version)

    def set_digest(self, name: str, version: str, manifest: Manifest) -> None:
        """Records the digest of a version's files and the manifest that it is of.

        The manifest goes first: whoever reads in between sees one that the digest is not of, and ignores it.
        """
        recorded = tags.encode(manifest.digest, manifest.text)
        client, ask = self._connection.client, self._connection.ask
        for key in (tags.MANIFEST, tags.DIGEST):
            value = recorded.get(key)
            if value is not None:
                ask(lambda: client.set_model_version_tag(name, version, key, value))  # noqa: B023

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Points an alias at a version.

        Raises:
            RegistryError: The alias cannot be one, or there is no such version.
        """
        check_alias(alias)
        client = self._connection.client
        self._connection.ask(lambda: client.set_registered_model_alias(name, alias, version))


@contextmanager
def _as_mlflows_own(uri: str) -> Iterator[None]:
    """Makes `uri` MLflow's registry for the whole process, for a while.

    Where the registry is a database, MLflow looks a version's logged model up in that one and not in the
    client's (`create_model_version` in `mlflow/store/model_registry/sqlalchemy_store.py` says so itself).
    """
    import mlflow

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


@contextmanager
def _time_for_uploads() -> Iterator[None]:
    """A server answers an upload when its own store has all of it, which takes longer than a question."""
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT

    before = MLFLOW_HTTP_REQUEST_TIMEOUT.get_raw()
    MLFLOW_HTTP_REQUEST_TIMEOUT.set(max(MLFLOW_HTTP_REQUEST_TIMEOUT.get(), _UPLOAD_TIMEOUT_S))
    try:
        yield
    finally:
        MLFLOW_HTTP_REQUEST_TIMEOUT.unset() if before is None else MLFLOW_HTTP_REQUEST_TIMEOUT.set(
            before
        )


def check_name(name: str) -> None:
    """Raises RegistryError unless `name` can be a registered model's and stand in a `models:/` URI."""
    if not _NAME.fullmatch(name):
        raise RegistryError(
            f"`{name}` cannot be a model's name: it may have no slash, colon, @ or white space in it."
        )


def check_alias(alias: str) -> None:
    """Raises RegistryError unless MLflow takes `alias` as one."""
    if not _ALIAS.fullmatch(alias) or _VERSION_LIKE.fullmatch(alias):
        raise RegistryError(
            f"`{alias}` cannot be an alias: it may have letters, digits, _ and - in it, and be neither "
            "`latest` nor like v1, which MLflow reads as versions."
        )
