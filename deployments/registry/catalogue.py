"""What the registry holds: every model, its versions and the aliases that point at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deployments.registry import tags
from deployments.registry.connection import Connection

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One version as the registry lists it, without a look at its files.

    Attributes:
        aliases: Those that point at it, sorted.
        created: When it was registered, UTC.
        source: Where its files are said to be; may name a logged model.
        digest: As recorded, valid or not; None when it is not pinned.
    """

    name: str
    version: str
    aliases: tuple[str, ...]
    created: datetime
    source: str
    digest: str | None
    tags: Mapping[str, str] = field(default_factory=dict)


def entries(connection: Connection, name: str | None = None) -> list[Entry]:
    """All versions of the model `name`, or of all models: by name, newest version first.

    Raises:
        RegistryError: The registry does not answer.
    """
    only = None if name is None else _equals(name)
    client = connection.client
    models = _all(
        connection, lambda token: client.search_registered_models(only, _PAGE, None, token)
    )
    aliases: dict[tuple[str, str], list[str]] = {}
    for model in models:
        for alias, version in dict(model.aliases).items():
            aliases.setdefault((str(model.name), str(version)), []).append(str(alias))
    versions = _all(
        connection, lambda token: client.search_model_versions(only, _PAGE, None, token)
    )
    found = [entry(v, aliases.get((str(v.name), str(v.version)), [])) for v in versions]
    return sorted(found, key=lambda e: (e.name, -int(e.version)))


def entry(record: Any, aliases: list[str]) -> Entry:
    """MLflow's record of a version as an entry."""
    recorded = {str(key): str(value) for key, value in record.tags.items()}
    return Entry(
        name=str(record.name),
        version=str(record.version),
        aliases=tuple(sorted(aliases)),
        created=datetime.fromtimestamp(record.creation_timestamp / 1000, UTC),
        source=str(record.source),
        digest=recorded.get(tags.DIGEST),
        tags=recorded,
    )


def aliases_of(connection: Connection, name: str) -> dict[str, str]:
    """Alias to version number of a registered model; empty for one that is not there."""
    model = connection.look(lambda: connection.client.get_registered_model(name))
    return {} if model is None else {str(a): str(v) for a, v in model.aliases.items()}


def _all(connection: Connection, page: Callable[[str | None], Any]) -> Iterator[Any]:
    token: str | None = None
    while True:
        found = connection.ask(lambda: page(token))  # noqa: B023
        yield from found
        token = found.token
        if not token:
            return


def _equals(name: str) -> str:
    quote = '"' if "'" in name else "'"
    return f"name={quote}{name}{quote}"
