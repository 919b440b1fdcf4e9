"""What a rendered configuration holds a model version to: the digest of its files, wherever there can be one.

A version number alone trusts whoever can write to the registry or to the store. With the digest in the file that
was reviewed, files that changed since are refused wherever they come from.
"""

from __future__ import annotations

from typing import Literal

from deployments.errors import SpecError
from deployments.registry.version import ModelVersion
from deployments.spec.args import ModelArgs


def model_args(
    version: ModelVersion,
    trust: Literal["digest", "none"],
    pin: Literal["digest", "version"],
    *,
    production: bool,
) -> ModelArgs:
    """How a replica is told which files to load.

    Args:
        version: What the model's URI means now.
        trust: Whether its files must be known.
        pin: ``version`` leaves a registered version's digest to the registry's tag.
        production: Whether files that nobody vouched for are out of the question.

    Raises:
        SpecError: Nobody has recorded what the files of this version are, or it does not matter and this is
            production.
    """
    if production and trust == "none":
        raise SpecError(
            f"`trust: none` is set for `{version.name}`, but this is production, where only files that somebody "
            f"vouched for are loaded: run `penstock models pin {version.name}/{version.version}` and leave it out."
        )
    source = None if version.registered else version.source
    if trust == "none":
        return ModelArgs(name=version.name, version=version.version, source=source, trust="none")
    if version.digest is None:
        raise SpecError(
            f"Nobody has recorded what the files of `{version.name}` version {version.version} are: run "
            f"`penstock models pin {version.name}/{version.version}` once you trust them "
            "(or write `trust: none` at the variant, outside production)."
        )
    digest = version.digest if pin == "digest" or source else None
    return ModelArgs(name=version.name, version=version.version, digest=digest, source=source)
