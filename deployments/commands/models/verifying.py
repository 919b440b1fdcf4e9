"""`penstock models verify`: are a model's files still those that were registered?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.artifacts.manifest import check_digest
from deployments.commands.models.opened import Opened
from deployments.commands.models.output import AsJson, say_json
from deployments.commands.models.showing import Model
from deployments.errors import ArtifactError, PenstockError
from deployments.registry import uris
from deployments.registry.version import local_path
from deployments.versions.targets import target
from deployments.versions.verify import Expected, expected
from deployments.versions.verify import verify as verify_model


def verify(
    model: Model,
    digest: Annotated[
        str | None,
        typer.Option(help="sha256:… to hold the files against; the recorded one if not given."),
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="A public key that must have signed the model."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Check a model's files, as they are in the store now, against their digest; exit code 1 if they differ."""
    if digest is not None:
        try:
            check_digest(digest)
        except ArtifactError as exc:
            raise typer.BadParameter(exc.message, param_hint="--digest") from exc
    opened = Opened(quiet=json)
    what = _expected(opened, target(model), digest)
    if what.digest is None and signature is None:
        raise typer.BadParameter(
            f"{model} is not registered, so say what it should be",
            param_hint="--digest or --signature",
        )
    try:
        with opened.bar.during(f"reading {model}"):
            verify_model(what, opened.downloads, signature)
    except PenstockError as exc:
        if json:
            said = {"verified": False, "code": exc.code, "error": exc.message}
            say_json({"model": model, "source": what.source, "digest": what.digest} | said)
        raise
    if json:
        say_json({"model": model, "source": what.source, "digest": what.digest, "verified": True})
    else:
        by = " and ".join(
            [
                *([what.digest] if what.digest else ()),
                *([f"the signature by {signature}"] if signature else ()),
            ]
        )
        typer.echo(f"{model} is what it should be, by {by}.")


def _expected(opened: Opened, reference: uris.Reference, digest: str | None) -> Expected:
    """A folder of this machine takes no registry."""
    if isinstance(reference, uris.Place):
        folder = local_path(reference.source)
        if folder is not None and folder.is_dir():
            return Expected(str(folder.absolute()), digest)
    return expected(opened.registry, reference, digest)
