"""Where the files of a model lie, followed through everything that MLflow may name in between.

A version's source may be a logged model, a run or another version; the chain ends at a place, which is then
checked, since what a registry says is not trusted.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from deployments.errors import RegistryError
from deployments.registry import uris
from deployments.registry.connection import Connection
from deployments.registry.places import check_place
from deployments.registry.version import local_path

_LONGEST_CHAIN = 5


class Locations:
    """From names to places, by asking the registry."""

    def __init__(self, connection: Connection) -> None:
        self._ask = connection.ask
        self._look = connection.look
        self._connection = connection

    def of_registered(self, name: str, version: str) -> str:
        """The place of a registered version's files.

        Raises:
            RegistryError: The place cannot be told, is refused, or the files are gone from it.
        """
        client, what = self._connection.client, f"`{name}` version {version}"
        source = str(self._ask(lambda: client.get_model_version_download_uri(name, version)))
        place = self._follow(source, what)
        check_place(self._connection, place, what)
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
        check_place(self._connection, place, what)
        return place

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
