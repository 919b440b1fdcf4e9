"""`penstock models register`: a model folder, a run's model or one in a store becomes a registered version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.commands.models.opened import Opened
from deployments.commands.models.output import AsJson, say_json
from deployments.versions.register import register as register_model
from deployments.versions.targets import target


def register(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="./FOLDER, runs:/RUN/PATH, models:/m-ID or s3://BUCKET/PATH."
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="The registered model, made if new.")],
    alias: Annotated[str | None, typer.Option(help="Points at the new version.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="May be repeated.")
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(
            metavar="KEY", help="A private key that signs the folder: adds model.sig to it."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Register a model as a new version, with the digest of its files."""
    pairs = [pair.partition("=") for pair in tag or ()]
    if any(not key.strip() or not equals for key, equals, _ in pairs):
        raise typer.BadParameter("a tag is written KEY=VALUE", param_hint="--tag")
    opened = Opened(quiet=json, create=True)
    with opened.bar.during(f"reading {model}"):
        made = register_model(
            opened.registry,
            opened.downloads.manifest_of,
            target(model),
            name,
            artifacts=opened.settings.home / "artifacts",
            alias=alias,
            private_key=sign,
            tags={key.strip(): value for key, _, value in pairs},
        )
    if json:
        say_json(
            {
                "name": made.name,
                "version": made.version,
                "alias": made.alias,
                "digest": made.digest,
                "source": made.source,
            }
        )
        return
    also = f", alias {alias}" if alias else ""
    typer.echo(f"Registered {model} as {name} version {made.version}{also}.")
    typer.echo(f"Pinned to {made.digest}.")
