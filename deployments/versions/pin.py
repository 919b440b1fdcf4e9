"""Pins a registered version: records the digest of its files, as they are now, on the version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deployments.artifacts.manifest import Manifest, check_names
from deployments.errors import DigestMismatch
from deployments.registry import tags
from deployments.registry.client import Registry
from deployments.registry.entering import Entering


@dataclass(frozen=True, slots=True)
class Pin:
    """What came of it: the digest now, and the one recorded before, if any."""

    name: str
    version: str
    digest: str
    before: str | None

    @property
    def changed(self) -> bool:
        """Whether anything was recorded."""
        return self.digest != self.before


def pin(
    registry: Registry,
    manifest_of: Callable[[str], Manifest],
    name: str,
    version: str,
    *,
    force: bool = False,
) -> Pin:
    """Fetches the version's files as they are in the store, and records their digest.

    Args:
        registry: Where the version is.
        manifest_of: From the place of files to their manifest, by fetching them anew.
        name: The registered model.
        version: A number.
        force: Replace another digest.

    Raises:
        DigestMismatch: Another digest is recorded: the files were changed since, or the tag was. It names
            the files where their manifest is recorded.
        SetupError: The version is not there, or its files cannot be fetched.
    """
    client, connection = registry.connection.client, registry.connection
    record = connection.ask(lambda: client.get_model_version(name, version))
    before = record.tags.get(tags.DIGEST)
    manifest = manifest_of(registry.locations.of_registered(name, version))
    if before is not None and before != manifest.digest and not force:
        raise DigestMismatch(
            f"`{name}` version {version} is pinned to {before}, but its files now have "
            f"{manifest.digest}{_difference(record.tags, manifest)}. Somebody changed the files or the "
            "tag. Register changed files as a new version; `--force` records the new digest here."
        )
    if before != manifest.digest or tags.MANIFEST not in record.tags:
        Entering(connection).set_digest(name, version, manifest)
    return Pin(name, version, manifest.digest, before)


def _difference(recorded: dict[str, str], now: Manifest) -> str:
    """Which files differ, as the end of a sentence, if that is known."""
    try:
        _, text = tags.decode(recorded)
        if text is None:
            return ""
        before = Manifest.parse(text)
        changed = [p for p, digest in now.files.items() if before.files.get(p, digest) != digest]
        check_names(now.files, before, changed=changed)
    except DigestMismatch as exc:
        return f": {exc.message}"
    except Exception:  # noqa: BLE001 - the tags are anybody's text; without them the two digests must do
        return ""
    return ""
