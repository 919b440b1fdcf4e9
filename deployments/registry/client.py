"""The model registry: from a name that people use to one immutable version, its signature and its files.

MLflow is imported when the first `Registry` is made and not before: it costs a process two seconds and a
hundred megabytes, and most processes of a service never ask the registry anything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from deployments.errors import RegistryError
from deployments.inference import mlmodel
from deployments.registry import uris
from deployments.registry.version import ModelVersion, local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the second is a missing alias's


class Registry:
    """A model registry that MLflow can reach: a database, a server or a folder."""

    def __init__(self, tracking_uri: str) -> None:
        """Opens the registry at `tracking_uri`; a server is asked nothing yet.

        Raises:
            RegistryError: There is none there.
        """
        self._uri = tracking_uri
        self._shown = uris.without_password(tracking_uri)
        _must_exist(tracking_uri)
        self._client = self._ask(lambda: _client(tracking_uri))

    def resolve(self, uri: str) -> ModelVersion:
        """The version that `uri` means now; see `uris` for its forms.

        Raises:
            RegistryError: The URI is none, nothing has that name, the registry is out of reach, or the
                version's artifacts are.
        """
        reference = uris.parse(uri)
        found = self._find(reference)
        name, version = str(found.name), str(found.version)
        source = self._location(name, version)
        file = self._model_file(name, version, source)
        return ModelVersion(
            name=name,
            version=version,
            source=source,
            flavors=tuple(sorted(file.flavors)),
            signature=file.signature,
            tags={str(key): str(value) for key, value in found.tags.items()},
        )

    def artifact_folder(self, version: ModelVersion) -> Path:
        """The folder with the version's files: where they lie, or a temporary copy of remote ones.

        Raises:
            RegistryError: They are not there, or cannot be fetched.
        """
        folder = local_path(version.source)
        if folder is None:
            return self._fetch(version.source)
        if not folder.is_dir():
            raise self._lost(version.name, version.version, version.source)
        return folder

    def _find(self, reference: uris.Reference) -> Any:
        name, client = reference.name, self._client
        if reference.alias is not None:
            alias = reference.alias
            found = self._look(lambda: client.get_model_version_by_alias(name, alias))
        elif reference.version == uris.LATEST:
            found = self._newest(name)
        else:
            found = self._look(lambda: client.get_model_version(name, reference.version))
        if found is None:
            raise self._absent(reference)
        return found

    def _newest(self, name: str) -> Any:
        quote = '"' if "'" in name else "'"
        versions = self._ask(
            lambda: self._client.search_model_versions(
                f"name={quote}{name}{quote}", max_results=1, order_by=["version_number DESC"]
            )
        )
        return next(iter(versions), None)

    def _location(self, name: str, version: str) -> str:
        """Where the files are: the registry may name a logged model, which in turn knows its place."""
        source = str(self._ask(lambda: self._client.get_model_version_download_uri(name, version)))
        logged = source.removeprefix("models:/")
        if logged == source:
            return source
        return str(self._ask(lambda: self._client.get_logged_model(logged)).artifact_location)

    def _model_file(self, name: str, version: str, source: str) -> mlmodel.ModelFile:
        folder = local_path(source)
        if folder is None:
            with TemporaryDirectory() as scratch:
                return mlmodel.read(
                    self._fetch(f"{source.rstrip('/')}/{mlmodel.FILE_NAME}", scratch).parent
                )
        if not folder.is_dir():
            raise self._lost(name, version, source)
        return mlmodel.read(folder)

    def _fetch(self, uri: str, into: str | None = None) -> Path:
        """A copy made by MLflow's own downloader, in `into` or a temporary folder of its own."""
        from mlflow.artifacts import download_artifacts

        return Path(
            self._ask(
                lambda: download_artifacts(artifact_uri=uri, dst_path=into, tracking_uri=self._uri)
            )
        )

    def _look(self, question: Callable[[], Any]) -> Any:
        """The answer, or None where the registry says that there is no such thing."""
        try:
            return self._ask(question)
        except RegistryError as exc:
            if getattr(exc.__cause__, "error_code", None) in _ABSENT:
                return None
            raise

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except Exception as exc:
            # MLflow lets the errors of its databases, of requests and of every store through.
            raise RegistryError(
                f"The model registry {self._shown} does not answer: {_first_line(exc)}. "
                "Check that it runs and that its address is right."
            ) from exc

    def _absent(self, reference: uris.Reference) -> RegistryError:
        """Says what is there instead, since most of these are misspelt."""
        name = reference.name
        model = self._look(lambda: self._client.get_registered_model(name))
        if model is None:
            models = self._ask(lambda: self._client.search_registered_models(max_results=10))
            there = ", ".join(sorted(m.name for m in models)) or "none"
            return RegistryError(
                f"The model registry {self._shown} has no model `{name}`. Registered are: {there}."
            )
        if reference.alias is not None:
            there = ", ".join(
                f"{alias} (version {v})" for alias, v in sorted(model.aliases.items())
            )
            return RegistryError(
                f"`{name}` has no alias `{reference.alias}` in the model registry {self._shown}; "
                f"it has: {there or 'none'}. Set the alias, or name a version."
            )
        newest = self._newest(name)
        there = f"its newest is {newest.version}" if newest else "it has none yet; register one"
        return RegistryError(
            f"`{name}` has no version {reference.version} in the model registry {self._shown}; {there}."
        )

    def _lost(self, name: str, version: str, source: str) -> RegistryError:
        return RegistryError(
            f"The artifacts of `{name}` version {version} should be in {source}, as the model registry "
            f"{self._shown} says, but are not there. Restore them, or register the model anew."
        )


def _must_exist(tracking_uri: str) -> None:
    """MLflow would make a missing database, and then truthfully say that nothing is registered."""
    path = tracking_uri.removeprefix(SQLITE)
    if path != tracking_uri and not Path(path).is_file():
        raise RegistryError(
            f"There is no model registry at {tracking_uri}: the file {path} does not exist. "
            "Register a model first (`python models/digits.py`), or correct the address."
        )


def _client(tracking_uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri, tracking_uri)


def _first_line(exc: Exception) -> str:
    return (str(exc).strip().partition("\n")[0] or type(exc).__name__).rstrip(".")
