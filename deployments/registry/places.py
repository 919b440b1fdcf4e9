"""Which of the places that a registry names for files may be read.

A registry on another machine can be wrong or taken over. Two of its answers are refused: a folder that is not
on this machine, or is no model; and an HTTP address other than its own, to which MLflow's downloader would send
the credentials that are meant for the registry. All else is harmless, since nothing is loaded before its digest
is verified.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from deployments.errors import RegistryError
from deployments.inference.mlmodel import FILE_NAME
from deployments.registry import uris
from deployments.registry.connection import Connection
from deployments.registry.version import local_path

_WITH_OUR_CREDENTIALS = ("http", "https", "mlflow-artifacts")


def check_place(connection: Connection, place: str, what: str) -> None:
    """Raises RegistryError if `place`, where the registry says that `what` is, is refused or gone."""
    folder = local_path(place)
    if folder is None:
        _must_be_reachable(connection, place, what)
    else:
        _must_be_here(connection, place, folder, what)


def _must_be_here(connection: Connection, place: str, folder: Path, what: str) -> None:
    remote = connection.host is not None
    if remote and not folder.is_absolute():
        raise RegistryError(_elsewhere(connection, place, what))
    if not folder.is_dir():
        raise RegistryError(
            _elsewhere(connection, place, what)
            if remote
            else f"The artifacts of {what} should be in {place}, as the model registry "
            f"{connection.shown} says, but are not there. Restore them, or register the model anew."
        )
    if remote and not (folder / FILE_NAME).is_file():
        raise RegistryError(
            f"The model registry {connection.shown} says that {what} is in {place}; that folder "
            f"is on this machine, but is no model: it has no {FILE_NAME} file. Register the model anew."
        )


def _elsewhere(connection: Connection, place: str, what: str) -> str:
    return (
        f"The model registry {connection.shown} says that {what} is in {place}: a folder on the "
        "machine that registered it, and not on this one. Mount it here under the same path, or let "
        "the registry keep artifacts where all can fetch them (`mlflow server "
        "--artifacts-destination`, or s3://) and register the model anew."
    )


def _must_be_reachable(connection: Connection, place: str, what: str) -> None:
    parts = urlsplit(place)
    shown = connection.shown
    if parts.scheme not in uris.PLACES:
        raise RegistryError(
            f"The model registry {shown} says that {what} is in {uris.without_password(place)}, "
            f"which nothing here can fetch. Known are: {', '.join(sorted(uris.PLACES))}."
        )
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme in _WITH_OUR_CREDENTIALS and host and host != connection.host:
        raise RegistryError(
            f"The model registry {shown} says that {what} is on {host}, another server than itself, "
            "which would be sent the registry's credentials. Register the model anew, with its "
            "artifacts in the registry's own store or on s3://."
        )
