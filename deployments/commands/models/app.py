"""The commands of `penstock models`, put together."""

from __future__ import annotations

import typer

from deployments.commands.models.fetching import fetch
from deployments.commands.models.listing import list_models
from deployments.commands.models.pinning import pin
from deployments.commands.models.promoting import promote
from deployments.commands.models.registering import register
from deployments.commands.models.showing import show
from deployments.commands.models.verifying import verify

app = typer.Typer(
    no_args_is_help=True,
    help="List, register, pin, promote, fetch and verify models.",
)

app.command("list")(list_models)
for command in (show, register, pin, promote, fetch, verify):
    app.command()(command)
