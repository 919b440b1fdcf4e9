"""A registry that is down, slow or wrong: an error within seconds that says what to do."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

import pytest

from deployments.errors import RegistryError
from deployments.registry.client import Registry
from deployments.registry.connection import Connection
from deployments.registry.patience import PATIENCE, Patience, be_brief
from tests.registry.standin import answering, closed, silent

CHAMPION = "models:/digits@champion"


@pytest.mark.parametrize(
    ("place", "scheme", "says", "seconds"),
    [
        (closed, "http", r"does not answer: nothing listens there \(connection refused\)\.", 15),
        (closed, "postgresql+psycopg2", r"does not answer: .*Connection refused", 15),
        # Two attempts of 4 s, and a pause: 9 s at most on an idle machine.
        (silent, "http", "does not answer: it takes connections, but gives no answer in time", 25),
    ],
)
def test_a_registry_that_is_down_is_an_error_in_seconds(
    place: type[AbstractContextManager[str]], scheme: str, says: str, seconds: float
) -> None:
    """MLflow by itself would take a quarter of an hour; and its message would show the password."""
    with place() as address:
        began = time.monotonic()
        with pytest.raises(RegistryError, match=says) as caught:
            Registry(f"{scheme}://me:hunter%32@{address}/db").resolve(CHAMPION)

    assert time.monotonic() - began < seconds
    assert caught.value.message.startswith(
        f"The model registry {scheme}://me:***@{address}/db does not answer"
    )
    assert caught.value.message.endswith("Check that it runs and that its address is right.")
    assert "hunter" not in caught.value.message


def test_a_database_that_never_answers_is_given_up_on() -> None:
    """MLflow would wait for as long as the connection stands."""
    began = time.monotonic()
    with silent() as address, pytest.raises(RegistryError, match="timeout expired"):
        Connection(f"postgresql+psycopg2://me:hunter2@{address}/db", Patience(attempts=1))

    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("status", "says", "attempts"),
    [
        (500, "does not answer: it answers 500", 4),
        (503, "does not answer: it answers 503", 4),
        (429, "does not answer: it answers 429", 4),
        (401, "refuses: who asks must say so .401.: set MLFLOW_TRACKING_USERNAME", 1),
        (403, "refuses: who asks may not do this .403.", 1),
        (404, "refuses: it answers 404, which MLflow does not; is that its address?", 1),
    ],
)
def test_what_may_pass_is_asked_again(status: int, says: str, attempts: int) -> None:
    """Overload and faults four times in all; a refusal once, as the next one would be the same."""
    with answering((status, b"oops")) as (address, asked):
        registry = Registry(Connection(f"http://me:secret@{address}", Patience(pause_s=0.01)))
        with pytest.raises(RegistryError, match=says) as caught:
            registry.resolve(CHAMPION)

    assert len(asked) == attempts
    assert "secret" not in caught.value.message


def test_a_moment_of_trouble_is_not_noticed() -> None:
    """Two answers of 503, then the right one."""
    right = b'{"registered_model": {"name": "digits", "aliases": [{"alias": "a", "version": "3"}]}}'
    with answering((503, b""), (503, b""), (200, right)) as (address, asked):
        connection = Connection(f"http://{address}", Patience(pause_s=0.01))
        found = connection.ask(lambda: connection.client.get_registered_model("digits"))

    assert found.aliases == {"a": "3"}
    assert len(asked) == 3


def test_what_makes_something_is_not_asked_again() -> None:
    """The answer to a creation may be what was lost, and a second one would make a second version."""
    with answering((503, b"")) as (address, asked):
        connection = Connection(f"http://{address}", Patience(pause_s=0.01))
        with pytest.raises(RegistryError, match="503"):
            connection.ask(lambda: connection.client.get_registered_model("digits"), once=True)

    assert len(asked) == 1


def test_an_answer_that_is_none_is_an_error() -> None:
    """Some other server at that address, which answers 200 to everything."""
    with (
        answering((200, b"hello")) as (address, _),
        pytest.raises(RegistryError, match="not in a valid JSON format"),
    ):
        Registry(Connection(f"http://{address}", Patience(pause_s=0.01))).resolve(CHAMPION)


def test_plain_text_to_a_server_that_encrypts() -> None:
    """The other way round: https asked for at a port that speaks http."""
    with (
        answering((200, b"")) as (address, _),
        pytest.raises(RegistryError, match=r"no encrypted connection comes about"),
    ):
        Registry(f"https://{address}").resolve(CHAMPION)


def test_an_address_of_no_kind_is_refused() -> None:
    """MLflow's own list of what it can reach is in the message."""
    with pytest.raises(RegistryError, match=r"ftp://host refuses: .*unsupported URI"):
        Registry("ftp://host")


def test_short_timeouts_leave_what_is_set() -> None:
    """Whoever set MLflow's own variables meant it."""
    environ = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}
    be_brief(environ)

    assert environ == {**PATIENCE, "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}
