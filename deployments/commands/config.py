"""`penstock config`: from what an engineer writes to what Ray Serve deploys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help=__doc__)

HEADER = """\
# Rendered from {source} by `penstock config render`: aliases are resolved to versions here, as a lock file does.
# Change {source} and render again; or edit `split` below and run `serve deploy` for traffic alone.
"""


@app.callback()
def config() -> None:
    """Check and render configurations."""


@app.command()
def render(
    file: Annotated[Path, typer.Argument(help="A configuration, such as configs/local.yaml.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here and not to the terminal.")
    ] = None,
) -> None:
    """Write what Ray Serve deploys, with aliases resolved to version numbers."""
    text = rendered(file)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text)
        typer.echo(f"Wrote {output}")


def rendered(file: Path) -> str:
    """The text of `serve_config.yaml` for a configuration.

    Raises:
        SetupError: The file is wrong, or the registry does not have what it names.
    """
    from deployments.settings import Settings
    from deployments.spec.dump import dump
    from deployments.spec.read import read_spec
    from deployments.versions.resolve import rendered as rendered_spec

    return HEADER.format(source=file) + dump(rendered_spec(read_spec(file), Settings()))
