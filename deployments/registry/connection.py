"""One line to a registry: questions, asked again while that helps, and what is said when it does not answer.

MLflow is imported when the first connection is made and not before: it costs a process two seconds and a
hundred megabytes, and most processes of a service never ask the registry anything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from deployments.errors import RegistryError
from deployments.registry import databases
from deployments.registry.faults import Fault, fault_of
from deployments.registry.patience import Patience
from deployments.registry.uris import without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"


class NotThereError(RegistryError):
    """The registry answered that it has no such thing."""


class Connection:
    """A registry that MLflow can reach: a server, or a database that we open ourselves.

    Attributes:
        uri: Its address, for MLflow.
        shown: Its address without a password, for people.
        client: MLflow's client; its calls belong into `ask`.
    """

    def __init__(
        self, tracking_uri: str, patience: Patience | None = None, *, create: bool = False
    ) -> None:
        """Opens the registry at `tracking_uri`; a server is asked nothing yet.

        Args:
            tracking_uri: As MLflow names it.
            patience: How often and how long to ask.
            create: Make a SQLite registry that is not there, as the first registration does.

        Raises:
            RegistryError: There is none there.
        """
        self.uri = tracking_uri
        self.shown = without_password(tracking_uri)
        self._patience = patience or Patience()
        _sqlite_must_exist(tracking_uri, create=create)
        databases_uri = None if tracking_uri.startswith(SQLITE) else databases.dsn(tracking_uri)
        if databases_uri is not None:
            self.ask(lambda: databases.probe(databases_uri))
        self.client = self.ask(lambda: _client(tracking_uri))

    @property
    def host(self) -> str | None:
        """Host and port of a registry that is a server; None for a database."""
        parts = urlsplit(self.uri)
        return parts.netloc.rpartition("@")[2] if parts.scheme in ("http", "https") else None

    def ask(self, question: Callable[[], Any], *, once: bool = False) -> Any:
        """The answer.

        Args:
            question: A call of MLflow.
            once: Never ask again, since a question whose answer was lost may have made something.

        Raises:
            NotThereError: There is no such thing.
            RegistryError: The registry does not answer, or not with an answer.
        """
        try:
            return self._patience.ask(question, lambda exc: not once and fault_of(exc).transient)
        except RegistryError:
            raise
        except Exception as exc:
            # MLflow lets the errors of its databases, of requests and of every store through.
            fault = fault_of(exc)
            kind = NotThereError if fault.absent else RegistryError
            raise kind(self._said(fault)) from exc

    def look(self, question: Callable[[], Any]) -> Any:
        """The answer, or None where the registry says that there is no such thing."""
        try:
            return self.ask(question)
        except NotThereError:
            return None

    def _said(self, fault: Fault) -> str:
        text = self._without_secrets(fault.text)
        if not fault.away:
            return (
                f"The model registry {self.shown} refuses: {text}{'' if text[-1:] in '?…' else '.'}"
            )
        return (
            f"The model registry {self.shown} does not answer: {text}. "
            "Check that it runs and that its address is right."
        )

    def _without_secrets(self, text: str) -> str:
        """Whatever a library printed of the address: never the password in it."""
        password = urlsplit(self.uri).password
        text = text.replace(self.uri, self.shown)
        for secret in {password, unquote(password)} if password else ():
            text = text.replace(secret, "***")
        return text


def _sqlite_must_exist(tracking_uri: str, *, create: bool) -> None:
    """MLflow would make a missing database, and then truthfully say that nothing is registered."""
    path = Path(tracking_uri.removeprefix(SQLITE))
    if not tracking_uri.startswith(SQLITE) or path.is_file():
        return
    if not create:
        raise RegistryError(
            f"There is no model registry at {tracking_uri}: the file {path} does not exist. "
            "Register a model first (`python models/digits.py`), or correct the address."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise RegistryError(
            f"No model registry can be made at {tracking_uri}: {exc.strerror}."
        ) from exc


def _client(tracking_uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    # Their faults reach us as exceptions. They would log the same first, with a stack trace.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri, tracking_uri)
