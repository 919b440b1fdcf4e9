"""Where the files of a model lie, followed through everything that MLflow may name in between.

A version's source may be a logged model, a run or another version; the chain ends at a place. What a
registry says is not trusted: see `Locations.of_registered`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deployments.errors import RegistryError
from deployments.inference.mlmodel import FILE_NAME
from deployments.registry import uris
from deployments.registry.connection import Connection
from deployments.registry.version import local_path

_LONGEST_CHAIN = 5
_WITH_OUR_CREDENTIALS = ("http", "https", "mlflow-artifacts")


class Locations:
    """From names to places, by asking the registry."""

    def __init__(self, connection: Connection) -> None:
        self._ask = connection.ask
        self._look = connection.look
        self._connection = connection

    def of_registered(self, name: str, version: str) -> str:
        """The place of a registered version's files.

        A registry on another machine can be wrong or taken over. Two of its answers are refused here: a
        folder that is not on this machine, or is no model; and an HTTP address other than its own, to which
        MLflow's downloader would send the credentials that are meant for the registry. All else is
        harmless, since nothing is loaded before its digest is verified.

        Raises:
            RegistryError: The place is refused, cannot be told, or the files are gone from it.
        """
        client, what = self._connection.client, f"`{name}` version {version}"
        source = str(self._ask(lambda: client.get_model_version_download_uri(name, version)))
        place = self._follow(source, what)
        self.check(place, what)
        return place

    def of(self, reference: uris.Logged | uris.InRun | uris.Place) -> str:
        """The place of a model that is no registered version.

        Raises:
            RegistryError: There is no such model, or its place is refused as above.
        """
        if isinstance(reference, uris.Place):
            folder = local_path(reference.source)
            if folder is not None and not folder.is_dir():
                raise RegistryError(f"There is no folder {folder}; correct the path of the model.")
            return reference.source if folder is None else str(folder.absolute())
        if isinstance(reference, uris.Logged):
            place, what = self._of_logged(reference), f"the logged model {reference.model_id}"
        else:
            place, what = self._of_run(reference), f"{reference.path} of run {reference.run_id}"
        self.check(place, what)
        return place

    def check(self, place: str, what: str) -> None:
        """Raises RegistryError if `place`, as the registry gave it for `what`, is refused or gone."""
        folder = local_path(place)
        if folder is None:
            self._must_be_reachable(place, what)
        else:
            self._must_be_here(place, folder, what)

    def logged_in(self, reference: uris.InRun) -> str | None:
        """The id of the model that a run logged under this name; None where it is a mere folder of the run.

        MLflow 3 keeps logged models outside the run's artifacts; before, they were folders there.
        """
        client = self._connection.client
        run = self._run(reference.run_id)
        found = self._look(
            lambda: client.search_logged_models(
                [run.info.experiment_id],
                f"source_run_id = '{reference.run_id}'",
                order_by=[{"field_name": "creation_timestamp", "ascending": False}],
            )
        )
        for model in found or ():
            if model.name == reference.path:
                return str(model.model_id)
        return None

    def _follow(self, source: str, what: str) -> str:
        for _ in range(_LONGEST_CHAIN):
            if urlsplit(source).scheme not in ("models", "runs"):
                return source
            reference = uris.parse(source)
            if isinstance(reference, uris.Logged):
                source = self._of_logged(reference)
            elif isinstance(reference, uris.InRun):
                source = self._of_run(reference)
            elif isinstance(reference, uris.Registered) and reference.version is not None:
                name, version, client = reference.name, reference.version, self._connection.client
                source = str(
                    self._ask(lambda: client.get_model_version_download_uri(name, version))  # noqa: B023
                )
            else:
                break
        raise RegistryError(
            f"The model registry {self._connection.shown} sends whoever wants {what} from one name to the "
            f"next, lately to {source}, and to no place. Register the model anew."
        )

    def _of_logged(self, reference: uris.Logged) -> str:
        model = self._look(lambda: self._connection.client.get_logged_model(reference.model_id))
        if model is None:
            raise RegistryError(
                f"The model registry {self._connection.shown} has no logged model "
                f"{reference.model_id}. Name one by the id that MLflow shows for it."
            )
        return str(model.artifact_location)

    def _of_run(self, reference: uris.InRun) -> str:
        logged = self.logged_in(reference)
        if logged is not None:
            return self._of_logged(uris.Logged(logged))
        return f"{str(self._run(reference.run_id).info.artifact_uri).rstrip('/')}/{reference.path}"

    def _run(self, run_id: str) -> Any:
        run = self._look(lambda: self._connection.client.get_run(run_id))
        if run is None:
            raise RegistryError(
                f"The model registry {self._connection.shown} has no run {run_id}. "
                "Name one by the id that MLflow shows for it."
            )
        return run

    def _must_be_here(self, place: str, folder: Path, what: str) -> None:
        remote = self._connection.host is not None
        if remote and not folder.is_absolute():
            raise RegistryError(self._elsewhere(place, what))
        if not folder.is_dir():
            raise RegistryError(
                self._elsewhere(place, what)
                if remote
                else f"The artifacts of {what} should be in {place}, as the model registry "
                f"{self._connection.shown} says, but are not there. Restore them, or register the model anew."
            )
        if remote and not (folder / FILE_NAME).is_file():
            raise RegistryError(
                f"The model registry {self._connection.shown} says that {what} is in {place}; that folder "
                f"is on this machine, but is no model: it has no {FILE_NAME} file. Register the model anew."
            )

    def _elsewhere(self, place: str, what: str) -> str:
        return (
            f"The model registry {self._connection.shown} says that {what} is in {place}: a folder on the "
            "machine that registered it, and not on this one. Mount it here under the same path, or let "
            "the registry keep artifacts where all can fetch them (`mlflow server "
            "--artifacts-destination`, or s3://) and register the model anew."
        )

    def _must_be_reachable(self, place: str, what: str) -> None:
        parts = urlsplit(place)
        shown = self._connection.shown
        if parts.scheme not in uris.PLACES:
            raise RegistryError(
                f"The model registry {shown} says that {what} is in {uris.without_password(place)}, "
                f"which nothing here can fetch. Known are: {', '.join(sorted(uris.PLACES))}."
            )
        host = parts.netloc.rpartition("@")[2]
        if parts.scheme in _WITH_OUR_CREDENTIALS and host and host != self._connection.host:
            raise RegistryError(
                f"The model registry {shown} says that {what} is on {host}, another server than itself, "
                "which would be sent the registry's credentials. Register the model anew, with its "
                "artifacts in the registry's own store or on s3://."
            )
