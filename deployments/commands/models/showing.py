"""`penstock models show`: all that is known of one version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from deployments.artifacts.manifest import Manifest
from deployments.commands.models.opened import Opened
from deployments.commands.models.output import AsJson, say_facts, say_json, say_table
from deployments.inference.mlmodel import ParamSpec, Signature, Spec, TensorSpec
from deployments.registry import tags
from deployments.registry.catalogue import aliases_of
from deployments.registry.client import Registry
from deployments.registry.version import ModelVersion
from deployments.versions.targets import target

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="NAME, NAME/NUMBER, NAME@ALIAS, any URI or ./FOLDER.")
]


def show(
    model: Model,
    files: Annotated[bool, typer.Option("--files", help="Also every file's SHA-256.")] = False,
    json: AsJson = False,
) -> None:
    """Show a version: signature, tags, aliases, digest and where its files lie."""
    opened = Opened(quiet=json)
    with opened.bar.during(f"reading {model}"):
        version = opened.registry.resolve_reference(target(model), model)
    aliases = _aliases(opened.registry, version)
    manifest = Manifest.parse(version.manifest) if version.manifest else None
    if json:
        say_json(as_object(version, aliases, manifest if files else None))
        return
    say_facts(_facts(version, aliases))
    if files and manifest is None:
        typer.echo("No manifest is recorded: `penstock models pin` records one.", err=True)
    elif files and manifest is not None:
        say_table(("sha256", "path"), [(h, path) for path, h in sorted(manifest.files.items())])


def as_object(
    version: ModelVersion, aliases: Sequence[str], manifest: Manifest | None
) -> dict[str, Any]:
    """A version for programs; `files` is there only where they were asked for and are known."""
    signature = version.signature
    known: dict[str, Any] = {
        "name": version.name,
        "version": version.version,
        "registered": version.registered,
        "aliases": list(aliases),
        "flavors": list(version.flavors),
        "digest": version.digest,
        "source": version.source,
        "tags": {k: v for k, v in version.tags.items() if k != tags.MANIFEST},
        "signature": None
        if signature is None
        else {
            "inputs": [{"name": s.name, "type": type_of(s)} for s in signature.inputs],
            "outputs": [{"name": s.name, "type": type_of(s)} for s in signature.outputs],
            "params": [
                {"name": p.name, "type": type_of(p), "default": p.default} for p in signature.params
            ],
        },
    }
    return known if manifest is None else known | {"files": dict(sorted(manifest.files.items()))}


def type_of(spec: Spec | ParamSpec) -> str:
    """`float32[-1, 8, 8]`, `long`, or `string, optional`."""
    if isinstance(spec, TensorSpec):
        return f"{spec.dtype}{list(spec.shape)}"
    if isinstance(spec, ParamSpec):
        return f"{spec.type}{list(spec.shape) if spec.shape else ''}"
    return spec.type if spec.required else f"{spec.type}, optional"


def _aliases(registry: Registry, version: ModelVersion) -> list[str]:
    if not version.registered:
        return []
    known = aliases_of(registry.connection, version.name)
    return sorted(alias for alias, number in known.items() if number == version.version)


def _facts(version: ModelVersion, aliases: Sequence[str]) -> list[tuple[str, str]]:
    hidden = (tags.DIGEST, tags.MANIFEST)
    return [
        ("name", version.name if version.registered else f"{version.name} (not registered)"),
        ("version", version.version),
        ("aliases", ", ".join(aliases)),
        ("flavors", ", ".join(version.flavors)),
        ("digest", version.digest or "not pinned"),
        ("source", version.source),
        *_signature(version.signature),
        *((f"tag {k}", v) for k, v in sorted(version.tags.items()) if k not in hidden),
    ]


def _signature(signature: Signature | None) -> list[tuple[str, str]]:
    if signature is None:
        return [("signature", "none: it is served only if the configuration says so")]
    return [
        *((f"input {spec.name}", type_of(spec)) for spec in signature.inputs),
        *((f"output {spec.name}", type_of(spec)) for spec in signature.outputs),
        *((f"param {p.name}", f"{type_of(p)} = {p.default!r}") for p in signature.params),
    ]
