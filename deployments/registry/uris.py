"""How a model is named: `models:/digits@champion`, `models:/digits/7`, `models:/digits/latest`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from deployments.errors import RegistryError

LATEST = "latest"

_URI = re.compile(
    r"models:/(?P<name>[^/@:\s]+)(?:@(?P<alias>[^/@:\s]+)|/(?P<version>[1-9]\d*|latest))"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed URI: an alias, or a version number, or `latest`; exactly one of the two fields is set."""

    name: str
    alias: str | None
    version: str | None


def parse(uri: str) -> Reference:
    """Splits a model URI.

    Raises:
        RegistryError: It has another form; in particular, a stage such as `models:/digits/Production`.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise RegistryError(
            f"`{uri}` names no model: write models:/NAME@ALIAS, models:/NAME/NUMBER or models:/NAME/latest."
        )
    return Reference(match["name"], match["alias"], match["version"])


def without_password(uri: str) -> str:
    """A registry's address as it may stand in a message or a log."""
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))
