"""`penstock models promote`: moves an alias to a version."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from deployments.commands.models.opened import Opened
from deployments.commands.models.output import AsJson, say_json
from deployments.versions.promote import promote as promote_version


def promote(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A number, or latest.")],
    alias: Annotated[str, typer.Option("--alias", help="What will point at it, as champion.")],
    unpinned: Annotated[
        bool, typer.Option("--unpinned", help="Allow a version that is not pinned.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Point an alias at a version; refused if nobody recorded which files the version has."""
    if not re.fullmatch(r"[1-9]\d*|latest", version):
        raise typer.BadParameter("a version is a number, or latest", param_hint="VERSION")
    done = promote_version(Opened(quiet=True).registry, name, version, alias, unpinned=unpinned)
    if json:
        say_json(
            {
                "name": done.name,
                "alias": done.alias,
                "version": done.version,
                "before": done.before,
            }
        )
    elif done.before == done.version:
        typer.echo(f"{name}@{alias} is version {done.version} already.")
    else:
        was = f"it was version {done.before}" if done.before else "there was none"
        typer.echo(f"{name}@{alias} is now version {done.version}; {was}.")
