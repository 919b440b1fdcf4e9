"""A store that tells how much there is to download, for whoever draws a bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from deployments.artifacts.store import Store, StoredFile
from deployments.artifacts.store.interface import Listing


class Announced:
    """`store`, telling `on_total` the bytes of all its files whenever they are listed."""

    def __init__(self, store: Store, on_total: Callable[[int], None]) -> None:
        self._store = store
        self._on_total = on_total

    @property
    def uri(self) -> str:
        return self._store.uri

    def list(self, deadline: float) -> Listing:
        files = self._store.list(deadline)
        self._on_total(sum(file.size or 0 for file in files))
        return files

    def fetch(
        self,
        files: Sequence[StoredFile],
        into: Path,
        *,
        deadline: float,
        on_bytes: Callable[[int], None],
    ) -> None:
        self._store.fetch(files, into, deadline=deadline, on_bytes=on_bytes)

    def read(self, path: str, deadline: float, max_bytes: int) -> bytes:
        return self._store.read(path, deadline, max_bytes)
