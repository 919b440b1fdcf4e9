"""A version's files for whoever loads it: from the node's cache, and only if need be by way of the registry.

Three parties may be away, and only the first is ever needed: the cache on this node, the registry, the store.
A version whose digest is in the configuration needs the registry only to find out where its files are, and
not at all once they are in the cache.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from deployments.artifacts.cache import Held
from deployments.artifacts.fetch import key_of
from deployments.artifacts.manifest import Manifest
from deployments.errors import ArtifactError, RegistryError
from deployments.registry.patience import PATIENCE
from deployments.settings import Settings, export
from deployments.spec.args import ModelArgs
from deployments.versions.download import Downloads
from deployments.versions.remembered import Remembered, Said

log = logging.getLogger(__name__)

REMEMBERED = "remembered"


class Files:
    """The files of the models that one process loads. They stay in the cache as long as the process lives."""

    def __init__(self, settings: Settings) -> None:
        assert settings.cache is not None  # Settings has set it
        self._settings = settings
        self._downloads = Downloads(settings, on_event=log.info)
        self._remembered = Remembered(settings.cache / REMEMBERED, settings.tracking_uri)
        self._held: list[Held] = []

    def folder_of(self, model: ModelArgs) -> Path:
        """The folder with the verified files of a model; read-only.

        Raises:
            DigestMismatch: They are not those that were registered.
            ArtifactError: They cannot be had, or nobody vouches for them.
            RegistryError: The registry is needed and does not answer.
        """
        self._must_be_allowed(model)
        said = self._known(model)
        recorded = said.digest if said is not None else None
        digest = model.digest or recorded if model.trust == "digest" else None
        if digest is None and model.trust == "digest":
            raise ArtifactError(
                f"Nobody has recorded what the files of `{model.name}` version {model.version} are: run "
                f"`penstock models pin {model.name}/{model.version}` once you trust them."
            )
        begun = time.perf_counter()
        held = self._downloads.cached(
            key_of(digest, f"{model.name}\n{model.version}\n{said.source if said else ''}"),
            lambda: (said or self._said(model)).source,
            digest=digest,
            manifest=_manifest(said, digest, model),
        )
        self._held.append(held)
        log.info(
            "%s version %s: files %s and verified in %.0f ms",
            model.name,
            model.version,
            "fetched" if held.fetched else "from the cache",
            (time.perf_counter() - begun) * 1000,
        )
        return held.folder

    def close(self) -> None:
        """Lets the cache evict them again."""
        while self._held:
            self._held.pop().close()

    def _must_be_allowed(self, model: ModelArgs) -> None:
        # Looked at here too: what is deployed need not have been rendered under the same settings.
        if model.trust == "none" and self._settings.environment == "production":
            raise ArtifactError(
                f"`trust: none` is set for `{model.name}` version {model.version}, but this is production "
                "(PENSTOCK_ENVIRONMENT), where only files that somebody vouched for are loaded."
            )

    def _known(self, model: ModelArgs) -> Said | None:
        """Where the files are and what they should be; None if the cache has all that is needed."""
        if model.source is not None:
            return Said(source=model.source, digest=model.digest, manifest=None, at=time.time())
        if model.digest is not None and self._downloads.has(model.digest):
            return None
        return self._said(model)

    def _said(self, model: ModelArgs) -> Said:
        """What the registry says now, or said within the last minute; or last, if it does not answer."""
        name, version = model.name, model.version
        with self._remembered.alone(name, version):
            last = self._remembered.recall(name, version)
            if last is not None and last.fresh:
                return last
            try:
                said = self._ask(name, version)
            except RegistryError as exc:
                if last is None or _is_an_answer(exc):
                    raise
                log.warning("%s So what it said before is taken for true.", exc.message)
                return last
            self._remembered.note(name, version, said)
            return said

    def _ask(self, name: str, version: str) -> Said:
        from deployments.registry.client import Registry, pinned
        from deployments.registry.uris import Registered

        export(PATIENCE)
        registry = Registry(self._settings.tracking_uri)
        found = registry.find(Registered(name, None, version))
        digest, manifest = pinned(name, version, dict(found.tags))
        source = registry.locations.of_registered(name, version)
        return Said(source=source, digest=digest, manifest=manifest, at=time.time())


def _is_an_answer(error: RegistryError) -> bool:
    """Whether the registry did answer, and said that there is no such thing."""
    from deployments.registry.connection import NotThereError

    return isinstance(error, NotThereError)


def _manifest(said: Said | None, digest: str | None, model: ModelArgs) -> Manifest | None:
    """The registry's list of files, if it is of the digest that counts; only for naming what differs."""
    if said is None or digest is None:
        return None
    if said.digest is not None and said.digest != digest:
        log.warning(
            "the registry now says that the files of %s version %s are %s; the configuration says %s, which counts",
            model.name,
            model.version,
            said.digest,
            digest,
        )
        return None
    return None if said.manifest is None else Manifest.parse(said.manifest)
