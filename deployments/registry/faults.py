"""What went wrong between here and the registry, in a few words, read off the exceptions that MLflow lets through.

MLflow wraps the HTTP client's exceptions in its own, whose text repeats the address, with any password in
it, and names no cause that a person would recognise. So the chain underneath is read, and the text only
where there is nothing better.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the second is a missing alias's
_REFUSED = {
    401: "who asks must say so (401): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    403: "who asks may not do this (403)",
}
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a question was not answered.

    Attributes:
        text: The cause, as the end of a sentence.
        away: It gives no answer of its own, so that looking whether it runs at all is the thing to do.
        transient: Whether the same question may well be answered a moment later.
        absent: The registry did answer: there is no such thing, or the question cannot be put so.
    """

    text: str
    away: bool = False
    transient: bool = False
    absent: bool = False


def fault_of(error: BaseException) -> Fault:
    """The fault behind an exception that MLflow raised."""
    answered = _of_answer(error)
    if answered is not None:
        return answered
    for link in _chain(error):
        known = _of_http(link) or _of_database(link)
        if known is not None:
            return known
    return _of_mlflow(error) or Fault(first_line(error))


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, or its kind where it has none."""
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    return f"{text[:_LONGEST]} …" if len(text) > _LONGEST else text.rstrip(".")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """From the innermost cause outwards: MLflow's own exceptions know least of what happened."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    yield from reversed(links)


def _of_http(error: BaseException) -> Fault | None:
    from requests import exceptions as http

    if not isinstance(error, http.RequestException):
        return None
    text = str(error)
    if isinstance(error, http.SSLError):
        why = re.search(r"\[SSL: (\w+)\]", text)
        return Fault(
            f"no encrypted connection comes about ({why[1] if why else text[:_LONGEST]})", away=True
        )
    if isinstance(error, http.ConnectTimeout):
        return Fault("it cannot be reached in time", away=True, transient=True)
    if isinstance(error, http.RetryError):
        status = re.search(r"too many (\d{3}) error responses", text)
        return Fault(
            f"it answers {status[1] if status else 'with errors'}", away=True, transient=True
        )
    if isinstance(error, http.ConnectionError | http.Timeout | http.ChunkedEncodingError):
        return Fault(_connection(text), away=True, transient=True)
    return Fault(first_line(error), away=True)


def _connection(text: str) -> str:
    for sign, meaning in (
        ("Connection refused", "nothing listens there (connection refused)"),
        ("NameResolution", "its host name is not known"),
        ("timed out", "it takes connections, but gives no answer in time"),
        ("Connection aborted", "it cut the connection off"),
        ("IncompleteRead", "it cut its answer off"),
    ):
        if sign in text:
            return meaning
    return "no connection comes about"


def _of_database(error: BaseException) -> Fault | None:
    """Drivers say what is wrong in their first lines, and never repeat a password."""
    from sqlalchemy.exc import SQLAlchemyError

    if isinstance(error, ModuleNotFoundError) and error.name:
        return Fault(f"the Python package {error.name}, which it takes, is not installed here")
    if not isinstance(error, SQLAlchemyError):
        return None
    said = " ".join(str(getattr(error, "orig", None) or error).split())[:_LONGEST].rstrip(".")
    refused = re.search(
        r"password|does not exist|denied|no such table|readonly", said, re.IGNORECASE
    )
    return Fault(said, away=not refused, transient=not refused)


def _of_answer(error: BaseException) -> Fault | None:
    """The registry answered, if only with an error; None for any other exception."""
    from mlflow.exceptions import MlflowException, RestException

    if not isinstance(error, MlflowException):
        return None
    if error.error_code in _ABSENT:
        return Fault(first_line(error), absent=True)
    return _of_mlflow(error) if isinstance(error, RestException) else None


def _of_mlflow(error: BaseException) -> Fault | None:
    from mlflow.exceptions import MlflowException

    if not isinstance(error, MlflowException):
        return None
    status = int(error.get_http_status_code())
    said = re.search(r"failed with error code (\d{3})", str(error))
    if said:
        status = int(said[1])
    if status in _REFUSED:
        return Fault(_REFUSED[status])
    if not said:
        return Fault(first_line(error), transient=status in _TRANSIENT)
    text = f"it answers {status}, which MLflow does not; is that its address?"
    return Fault(text, transient=status in _TRANSIENT)
