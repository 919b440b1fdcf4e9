"""`penstock models list`: every version in the registry, and which can be trusted to stay what it is."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import typer

from deployments.commands.models.opened import Opened
from deployments.commands.models.output import AsJson, say_json, say_table
from deployments.errors import SetupError
from deployments.registry.catalogue import Entry, entries
from deployments.registry.client import Registry

_READERS = 8
_READING_S = 20.0


def list_models(
    name: Annotated[str | None, typer.Argument(help="Only this model's versions.")] = None,
    json: AsJson = False,
) -> None:
    """List models with their versions, aliases and flavours, and whether they are pinned."""
    registry = Opened(quiet=True).registry
    found = entries(registry.connection, name)
    if name is not None and not found:
        registry.resolve(f"models:/{name}/latest")  # says what is there instead
    deadline = time.monotonic() + _READING_S
    with ThreadPoolExecutor(_READERS) as pool:
        flavors = list(pool.map(lambda entry: flavors_of(registry, entry, deadline), found))
    if json:
        say_json([_object(e, f) for e, f in zip(found, flavors, strict=True)])
    elif not found:
        typer.echo(f"The model registry {registry.connection.shown} has no models yet.", err=True)
    else:
        say_table(
            ("name", "version", "aliases", "pinned", "flavors", "created"),
            [_row(e, f) for e, f in zip(found, flavors, strict=True)],
        )


def flavors_of(registry: Registry, entry: Entry, deadline: float) -> list[str] | None:
    """The flavours in the version's `MLmodel` file; None where it is out of reach, which ends no listing.

    None is begun after the deadline: a store that hangs may not hold hundreds of versions up in turn.
    """
    if time.monotonic() > deadline:
        return None
    try:
        place = registry.locations.of_registered(entry.name, entry.version)
        return sorted(registry.read_model_file(place).flavors)
    except SetupError:
        return None


def _row(entry: Entry, flavors: list[str] | None) -> tuple[str, ...]:
    return (
        entry.name,
        entry.version,
        ", ".join(entry.aliases),
        "yes" if entry.digest else "no",
        "(files out of reach)" if flavors is None else ", ".join(flavors),
        f"{entry.created.astimezone():%Y-%m-%d %H:%M}",
    )


def _object(entry: Entry, flavors: list[str] | None) -> dict[str, Any]:
    return {
        "name": entry.name,
        "version": entry.version,
        "aliases": list(entry.aliases),
        "digest": entry.digest,
        "flavors": flavors,
        "created": entry.created.isoformat(timespec="seconds"),
        "source": entry.source,
    }
