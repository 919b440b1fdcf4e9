"""One version of a registered model, as a value: what it is called, what it takes and gives, where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deployments.inference.mlmodel import Signature


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a registered model, which never changes.

    Attributes:
        source: The URI or path of its artifact folder, where `MLmodel` lies.
        flavors: The names of the ways in which it can be loaded, sorted.
        signature: What it takes and gives; None when none was logged.
        digest: What its files must be, ``sha256:`` and 64 hex digits, as its tag says; None when nobody pinned it.
        manifest: The text of the manifest that the digest is of, where it is known.
        registered: Whether a registry numbers it; else it is only known by where its files are.
    """

    name: str
    version: str
    source: str
    flavors: tuple[str, ...] = ()
    signature: Signature | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    digest: str | None = None
    manifest: str | None = None
    registered: bool = True


def local_path(source: str) -> Path | None:
    """The folder that a `file:` URI or a plain path means; None for anything fetched over a network."""
    parts = urlsplit(source)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(source)
