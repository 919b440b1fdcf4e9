"""`penstock models fetch`: a model's files, verified, into this machine's cache or into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.commands.models.opened import Opened
from deployments.commands.models.output import AsJson, say_json
from deployments.commands.models.showing import Model
from deployments.versions.copy import copy_to, must_be_free
from deployments.versions.targets import target


def fetch(
    model: Model,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Copy them there: a folder that is new or empty."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Fetch a model's files into the cache, from which replicas load them, or copy them to a folder."""
    if to is not None:
        must_be_free(to)
    opened = Opened(quiet=json)
    with opened.bar.during(f"fetching {model}"):
        version = opened.registry.resolve_reference(target(model), model)
        with opened.downloads.held(version, "digest" if version.digest else "none") as held:
            if to is not None:
                copy_to(held.folder, to)
            folder = held.folder if to is None else to.absolute()
    if json:
        say_json(
            {
                "name": version.name,
                "version": version.version,
                "digest": version.digest,
                "folder": str(folder),
            }
        )
        return
    if version.digest is None:
        typer.echo(
            f"{version.name} version {version.version} is not pinned: nothing says which files it should have.",
            err=True,
        )
    typer.echo(folder)
