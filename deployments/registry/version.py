"""One version of a model, as a value: what it is called, what it takes and gives, where its files lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deployments.inference.mlmodel import Signature

_NAME_LENGTH = 40
_VERSION_LENGTH = 12


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a model, which never changes.

    Attributes:
        name: The registered model's; of another, a word made of its place.
        version: The number in the registry; of a model that is not registered, the digest's first 12 digits.
        source: The URI or absolute path of its artifact folder, where `MLmodel` lies.
        flavors: The names of the ways in which it can be loaded, sorted.
        signature: What it takes and gives; None when none was logged.
        digest: ``sha256:<hex>`` over its files, as recorded on the version; None when nobody recorded one.
        manifest: The text that `digest` is of: every file's SHA-256 and path. None when it is not recorded.
        registered: Whether the registry has it as a version of a name, so that tags and aliases can be set.
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


def name_of_place(source: str) -> str:
    """A name for a model that has none, from the end of its path: letters a-z, digits and single hyphens.

    Endpoints, applications and metrics are labelled with it, so it keeps to what all of those allow.
    """
    last = unquote(urlsplit(source).path).rstrip("/").rpartition("/")[2]
    slug = re.sub(r"[^a-z0-9]+", "-", last.lower())[:_NAME_LENGTH].strip("-")
    return slug or "model"


def version_of_digest(digest: str) -> str:
    """The version of a model that has no number: as many of the digest's digits as people compare."""
    return digest.removeprefix("sha256:")[:_VERSION_LENGTH]
