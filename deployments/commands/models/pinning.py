"""`penstock models pin`: records which files a version has, for versions that others registered."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.commands.models.opened import Opened
from deployments.commands.models.output import AsJson, say_json
from deployments.errors import SetupError
from deployments.registry.catalogue import entries
from deployments.versions.pin import Pin
from deployments.versions.pin import pin as pin_version
from deployments.versions.targets import registered


def pin(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="NAME, NAME/NUMBER or NAME@ALIAS.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every version of NAME, or of all models without a NAME.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace another digest.")] = False,
    json: AsJson = False,
) -> None:
    """Fetch a version's files and record their digest; refused if another one is recorded."""
    if model is None and not every:
        raise typer.BadParameter("name a model, or say --all", param_hint="MODEL")
    opened = Opened(quiet=json)
    pins: list[Pin] = []
    failed: list[str] = []
    for name, version in versions(opened, model, every=every):
        try:
            with opened.bar.during(f"reading {name}/{version}"):
                made = pin_version(
                    opened.registry, opened.downloads.manifest_of, name, version, force=force
                )
        except SetupError as exc:
            if not every:
                raise
            failed.append(exc.message)
            typer.echo(f"penstock: {exc.message}", err=True)
            continue
        pins.append(made)
        if not json:
            typer.echo(said(made))
    if json:
        say_json(
            [
                {"name": p.name, "version": p.version, "digest": p.digest, "before": p.before}
                for p in pins
            ]
        )
    if failed:
        raise typer.Exit(1)


def versions(opened: Opened, model: str | None, *, every: bool) -> list[tuple[str, str]]:
    """The name and number of each version that is meant."""
    if not every:
        assert model is not None
        found = opened.registry.find(registered(model))
        return [(str(found.name), str(found.version))]
    if model is not None:
        reference = registered(model)
        opened.registry.find(reference)
        return [(e.name, e.version) for e in entries(opened.registry.connection, reference.name)]
    return [(e.name, e.version) for e in entries(opened.registry.connection)]


def said(made: Pin) -> str:
    """What was done, in a line."""
    if not made.changed:
        return f"{made.name} version {made.version} was pinned already to {made.digest}."
    if made.before is None:
        return f"Pinned {made.name} version {made.version} to {made.digest}."
    return f"Pinned {made.name} version {made.version} to {made.digest}; it was {made.before}."
