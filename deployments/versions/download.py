"""Fetches the files of a model version: into a scratch folder to look at, or into the node's cache to load."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments.artifacts.manifest import Manifest, manifest_of
from deployments.artifacts.store import open_store
from deployments.errors import StoreError
from deployments.settings import Settings

Told = Callable[[int, int | None], None]
"""Told how many bytes came since the last time, and how many there are in all, if that is known."""


class Downloads:
    """Downloads under an operator's limits: where to, how large, and for how long."""

    def __init__(self, settings: Settings, told: Told = lambda _, __: None) -> None:
        self._settings = settings
        self._told = told

    @contextmanager
    def fresh(self, source: str) -> Iterator[Path]:
        """The files that are in the store now, past any cache, in a folder that is gone afterwards.

        Raises:
            StoreError: They cannot be had, or not within the limits.
        """
        settings = self._settings
        store = open_store(
            source, tracking_uri=settings.tracking_uri, endpoint_url=settings.s3_endpoint_url
        )
        deadline = time.monotonic() + settings.fetch_timeout_s
        files = store.list(deadline)
        sizes = [file.size for file in files]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        if total is not None and total > settings.artifact_max_bytes:
            raise StoreError(
                f"{store.uri} has {total:,} bytes; PENSTOCK_ARTIFACT_MAX_BYTES allows "
                f"{settings.artifact_max_bytes:,}."
            )
        assert settings.cache is not None
        settings.cache.mkdir(parents=True, exist_ok=True)
        # Beside the cache and not in /tmp, which is often memory, and too small for a model.
        with tempfile.TemporaryDirectory(prefix="look-", dir=settings.cache) as scratch:
            folder = Path(scratch) / "files"
            folder.mkdir()
            store.fetch(files, folder, deadline=deadline, on_bytes=lambda n: self._told(n, total))
            yield folder

    def manifest_of(self, source: str) -> Manifest:
        """The manifest of the files that are in the store now.

        Raises:
            ArtifactError: They cannot be had.
        """
        with self.fresh(source) as folder:
            return manifest_of(folder)
