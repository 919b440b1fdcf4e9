"""Gets the files of a model version: into this node's cache to load them, or afresh to see what the store holds now."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Literal

import psutil

from deployments.artifacts.cache import Cache, Held
from deployments.artifacts.fetch import Limits, key_of, obtain
from deployments.artifacts.manifest import Manifest, manifest_of
from deployments.artifacts.shelves import delete
from deployments.artifacts.store import Store, open_store
from deployments.errors import ArtifactError, DigestMismatch
from deployments.registry.version import ModelVersion, local_path
from deployments.settings import Settings
from deployments.versions.announced import Announced

LOOK = "look-"
Trust = Literal["digest", "none"]


class Downloads:
    """Downloads under an operator's settings: where to, how large, for how long, and signed by whom."""

    def __init__(
        self,
        settings: Settings,
        *,
        on_total: Callable[[int], None] = lambda _: None,
        on_bytes: Callable[[int], None] = lambda _: None,
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Touches nothing yet.

        Args:
            settings: The operator's.
            on_total: Told how many bytes there are, before each download.
            on_bytes: Told of every few bytes that arrive.
            on_event: Told in a line what takes long.
        """
        self._settings = settings
        self._on_total, self._on_bytes, self._on_event = on_total, on_bytes, on_event
        self._limits = Limits(settings.fetch_timeout_s, settings.artifact_max_bytes)

    def held(self, version: ModelVersion, trust: Trust = "digest") -> Held:
        """The version's files in this node's cache, verified, and kept there until they are given back.

        Args:
            version: As the registry resolved it.
            trust: `none` takes files that nobody recorded a digest of; where there is one, it counts always.

        Raises:
            DigestMismatch: The files are others than were registered, or nobody recorded which.
            ArtifactError: They cannot be had.
        """
        if version.digest is None and trust != "none":
            raise DigestMismatch(
                f"`{version.name}` version {version.version} is not pinned: nobody recorded which files it "
                f"has. Run `penstock models pin {version.name}/{version.version}`."
            )
        return self.cached(
            key_of(version.digest, version.source),
            lambda: version.source,
            digest=version.digest,
            manifest=Manifest.parse(version.manifest) if version.manifest else None,
        )

    def has(self, digest: str) -> bool:
        """Whether this node's cache has files by that digest; whether they are sound, only `cached` tells."""
        return self._cache.has(key_of(digest, ""))

    def cached(
        self, key: str, place: Callable[[], str], *, digest: str | None, manifest: Manifest | None
    ) -> Held:
        """Files in this node's cache, verified; `place` is asked where they are stored only if they must be fetched.

        Raises:
            DigestMismatch: They are not what `digest` says.
            ArtifactError: They cannot be had.
        """
        return obtain(
            self._cache,
            key,
            open_store=lambda: self._store(place()),
            digest=digest,
            manifest=manifest,
            limits=self._limits,
            signing_key=self._settings.signing_key,
            on_bytes=self._on_bytes,
            on_event=self._on_event,
        )

    @contextmanager
    def fresh(self, source: str) -> Iterator[Path]:
        """The files that are in the store now, past the cache, in a folder that is gone afterwards.

        Raises:
            ArtifactError: They cannot be had, or not within the limits.
        """
        # Beside the cache and not in /tmp, which is often memory, and too small for a model.
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            self._sweep()
            scratch = Path(tempfile.mkdtemp(prefix=f"{LOOK}{os.getpid()}-", dir=self._root))
        except OSError as exc:
            raise ArtifactError(
                f"Nothing can be written to {self._root}: {exc.strerror} (PENSTOCK_CACHE says where)."
            ) from exc
        try:
            # A cache of its own, so that limits, faults and a full disk mean the same as in the real one.
            with obtain(
                Cache(scratch, self._limits.max_bytes),
                key_of(None, source),
                open_store=lambda: self._store(source),
                digest=None,
                manifest=None,
                limits=self._limits,
                on_bytes=self._on_bytes,
                on_event=self._on_event,
            ) as held:
                yield held.folder
        finally:
            delete(scratch)

    def _sweep(self) -> None:
        """Deletes what a process left that was killed while it looked."""
        for left in self._root.glob(f"{LOOK}*"):
            owner = left.name.removeprefix(LOOK).partition("-")[0]
            if owner.isdigit() and not psutil.pid_exists(int(owner)):
                delete(left)

    def manifest_of(self, source: str) -> Manifest:
        """The manifest of the files that are in the store now.

        Raises:
            ArtifactError: They cannot be had.
        """
        folder = local_path(source)
        if folder is not None:
            return manifest_of(folder)
        with self.fresh(source) as fetched:
            return manifest_of(fetched)

    def _store(self, source: str) -> Store:
        settings = self._settings
        store = open_store(
            source, tracking_uri=settings.tracking_uri, endpoint_url=settings.s3_endpoint_url
        )
        return Announced(store, self._on_total)

    @cached_property
    def _cache(self) -> Cache:
        return Cache(self._root, self._settings.cache_max_bytes)

    @property
    def _root(self) -> Path:
        assert self._settings.cache is not None  # the settings see to it
        return self._settings.cache
