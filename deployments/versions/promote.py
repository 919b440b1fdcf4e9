"""Moves an alias to a version, so that the next rendering of a configuration means that one."""

from __future__ import annotations

from dataclasses import dataclass

from deployments.errors import RegistryError
from deployments.registry import tags
from deployments.registry.catalogue import aliases_of
from deployments.registry.client import Registry
from deployments.registry.entering import Entering, check_alias
from deployments.registry.uris import Registered


@dataclass(frozen=True, slots=True)
class Promotion:
    """An alias and the versions that it pointed at before and points at now."""

    name: str
    alias: str
    version: str
    before: str | None


def promote(
    registry: Registry, name: str, version: str, alias: str, *, unpinned: bool = False
) -> Promotion:
    """Points `alias` at a version.

    Refused for a version that is not pinned: whoever serves an alias trusts digests by default, and would
    find out only at the next rollout that this one has none.

    Args:
        registry: Where the version is.
        name: The registered model.
        version: A number, or `latest`.
        alias: What to point at it.
        unpinned: Allow a version without a digest.

    Raises:
        RegistryError: There is no such version, it is not pinned, or the alias cannot be one.
    """
    check_alias(alias)
    found = registry.find(Registered(name, None, version))
    number = str(found.version)
    if tags.DIGEST not in found.tags and not unpinned:
        raise RegistryError(
            f"`{name}` version {number} is not pinned: nobody recorded which files it has. "
            f"Run `penstock models pin {name}/{number}` first, or promote it with `--unpinned`."
        )
    before = aliases_of(registry.connection, name).get(alias)
    Entering(registry.connection).set_alias(name, alias, number)
    return Promotion(name, alias, number, before)
