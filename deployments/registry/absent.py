"""What to say of a name that the registry does not have: what is there instead, since most are misspelt."""

from __future__ import annotations

from typing import Any

from deployments.registry import uris
from deployments.registry.connection import Connection, NotThereError

_NAMED = 10


def absent(connection: Connection, reference: uris.Registered) -> NotThereError:
    """The error for a model, alias or version that is not there."""
    name, client, shown = reference.name, connection.client, connection.shown
    model = connection.look(lambda: client.get_registered_model(name))
    if model is None:
        models = connection.ask(lambda: client.search_registered_models(max_results=_NAMED))
        there = ", ".join(sorted(m.name for m in models)) or "none"
        return NotThereError(
            f"The model registry {shown} has no model `{name}`. Registered are: {there}."
        )
    if reference.alias is not None:
        there = ", ".join(f"{alias} (version {v})" for alias, v in sorted(model.aliases.items()))
        return NotThereError(
            f"`{name}` has no alias `{reference.alias}` in the model registry {shown}; "
            f"it has: {there or 'none'}. Set the alias, or name a version."
        )
    last = newest(connection, name)
    there = f"its newest is {last.version}" if last else "it has none yet; register one"
    return NotThereError(
        f"`{name}` has no version {reference.version} in the model registry {shown}; {there}."
    )


def newest(connection: Connection, name: str) -> Any | None:
    """MLflow's record of the version with the highest number; None if there is none."""
    quote = '"' if "'" in name else "'"
    versions = connection.ask(
        lambda: connection.client.search_model_versions(
            f"name={quote}{name}{quote}", max_results=1, order_by=["version_number DESC"]
        )
    )
    return next(iter(versions), None)
