"""The command line: each command a few lines over the modules that do the work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from deployments.commands import config
from deployments.commands.models.app import app as models
from deployments.errors import PenstockError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)

app.add_typer(config.app, name="config")
app.add_typer(models, name="models")


@app.callback()
def penstock() -> None:
    """Serve registered models over HTTP on Ray Serve."""


@app.command()
def up(
    config_file: Annotated[
        Path,
        typer.Option(
            "--config", help="What to serve: a Ray Serve configuration, or a configs/*.yaml."
        ),
    ] = Path("serve_config.yaml"),
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Where to listen on 127.0.0.1.")
    ] = 8000,
    json: Annotated[bool, typer.Option("--json", help="Tell what happens as JSON lines.")] = False,
) -> None:
    """Serve on this machine until Ctrl-C: starts Ray, deploys, waits until ready, and stops it all again."""
    from deployments.cluster.up import Up
    from deployments.progress import progress_for
    from deployments.settings import Settings

    with progress_for(as_json=json) as progress:
        code = Up(config_file, port, Settings(), progress).run()
    raise typer.Exit(code)


@app.command()
def env(
    local: Annotated[
        bool, typer.Option("--local", help="Also keep Ray on loopback: for a Ray on one machine.")
    ] = False,
) -> None:
    """Print the environment that Ray needs, for: eval "$(penstock env)"; ray start --head; serve deploy."""
    from deployments.cluster import flags
    from deployments.settings import Settings

    variables = flags.DATA_PLANE | (flags.LOCAL if local else {}) | Settings().for_workers()
    typer.echo(flags.exports(variables))


def main() -> None:
    """Entry point: a known fault is one line on stderr and exit code 1, a wrong call is 2, the rest is a bug."""
    try:
        app()
    except PenstockError as error:
        print(f"penstock: {error.message}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
