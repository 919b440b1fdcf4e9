"""How a model is named: in the registry by alias or number, as a logged model, in a run, or by where it lies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from deployments.errors import RegistryError

LATEST = "latest"

FORMS = (
    "models:/NAME@ALIAS, models:/NAME/NUMBER, models:/NAME/latest, models:/m-ID of a logged model, "
    "runs:/RUN/PATH, or the place of its files: s3://BUCKET/PATH, file:///PATH or ./PATH"
)

_REGISTERED = re.compile(
    r"models:/(?P<name>[^/@:\s]+)(?:@(?P<alias>[^/@:\s]+)|/(?P<version>[1-9]\d*|latest))"
)
_LOGGED = re.compile(r"models:/(?P<id>m-[0-9A-Za-z]+)")
_IN_RUN = re.compile(r"runs:/(?P<run>[0-9A-Za-z_-]+)/(?P<path>\S(?:.*\S)?)")

PLACES = frozenset(
    {"file", "s3", "mlflow-artifacts", "http", "https"}
    | {"gs", "wasbs", "abfss", "r2", "b2", "oss", "dbfs", "hdfs", "viewfs", "ftp", "sftp"}
)
"""The schemes of places that files can be fetched from; a misspelt `modles:` is none of them."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A name with an alias, or a version number, or `latest`; exactly one of the two fields is set."""

    name: str
    alias: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Logged:
    """A model that MLflow 3 logged, registered or not."""

    model_id: str


@dataclass(frozen=True, slots=True)
class InRun:
    """A model in a run: by the name it was logged under, or its path among the run's artifacts."""

    run_id: str
    path: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files are, without any registry's word."""

    source: str


Reference = Registered | Logged | InRun | Place


def parse(uri: str) -> Reference:
    """Splits a model URI.

    A plain path needs a slash in it, or is `.`: a lone word is much more often a registered model's name
    without the `models:/` before it.

    Raises:
        RegistryError: It has another form; in particular, a stage such as `models:/digits/Production`.
    """
    if match := _REGISTERED.fullmatch(uri):
        return Registered(match["name"], match["alias"], match["version"])
    if match := _LOGGED.fullmatch(uri):
        return Logged(match["id"])
    match = _IN_RUN.fullmatch(uri)
    if match and ".." not in match["path"].split("/"):
        return InRun(match["run"], match["path"].rstrip("/"))
    if _names_a_place(uri):
        return Place(uri)
    raise RegistryError(f"`{uri}` names no model: write {FORMS}.")


def _names_a_place(uri: str) -> bool:
    scheme = urlsplit(uri).scheme
    if scheme:
        return scheme in PLACES and bool(uri.partition(":")[2].strip("/"))
    return uri == "." or ("/" in uri and "\0" not in uri)


def without_password(uri: str) -> str:
    """A registry's address as it may stand in a message or a log."""
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))
