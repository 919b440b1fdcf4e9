"""Making room in a cache: what was not used for longest goes first, and what somebody uses never goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments.artifacts.disk import amount
from deployments.artifacts.locks import FileLock
from deployments.artifacts.shelves import Shelves, weight
from deployments.errors import ArtifactError


class Eviction:
    """Keeps the files in `shelves` within `max_bytes`.

    Downloads of two keys that begin at the same moment may overlook each other and pass the limit for a while:
    each trims the cache once more when it is done.
    """

    def __init__(self, shelves: Shelves, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._shelves = shelves

    def make_room(self, needed: int) -> None:
        """Deletes what is not used until `needed` more bytes fit.

        Raises:
            ArtifactError: They never fit, or not beside what is in use.
        """
        self.check_fits(needed)
        over = self.trim(needed)
        if over > 0:
            raise ArtifactError(
                f"the model's files need {amount(needed)} in the cache {self._shelves.root}, {amount(over)} more "
                f"than are left of its {amount(self.max_bytes)} beside models in use (PENSTOCK_CACHE_MAX_BYTES)"
            )

    def check_fits(self, size: int) -> None:
        """Raises ArtifactError if files of `size` bytes fit into no cache of this limit."""
        if size > self.max_bytes:
            raise ArtifactError(
                f"the model's files are {amount(size)}, and the cache {self._shelves.root} may hold "
                f"{amount(self.max_bytes)} (PENSTOCK_CACHE_MAX_BYTES)"
            )

    def trim(self, needed: int = 0) -> int:
        """Deletes what is not used until `needed` more bytes fit; returns by how many they still do not."""
        self._shelves.empty_trash()
        over = self._held() + needed - self.max_bytes
        for folder in self._shelves.in_quarantine():
            if over <= 0:
                return over
            over -= self._delete(folder)
        for key in self._by_last_use():
            if over <= 0:
                return over
            with self._unused(key) as free:
                if free:
                    over -= self._delete(self._shelves.entries / key)
                    over -= self._delete(self._shelves.partial / key)
        return over

    def _held(self) -> int:
        shelves = self._shelves
        folders = (shelves.entries, shelves.partial, shelves.quarantined)
        return sum(weight(folder) for folder in folders)

    def _delete(self, folder: Path) -> int:
        before = weight(folder)
        self._shelves.discard(folder)
        return before - weight(folder)

    def _by_last_use(self) -> list[str]:
        shelves = self._shelves
        folders = [*shelves.entries.iterdir(), *shelves.partial.iterdir()]
        return sorted({folder.name for folder in folders}, key=self._last_use)

    def _last_use(self, key: str) -> float:
        try:
            return (self._shelves.in_use / key).stat().st_mtime
        except OSError:
            return 0.0

    @contextmanager
    def _unused(self, key: str) -> Iterator[bool]:
        """Whether nobody uses `key`, which nobody can begin to while this lasts."""
        with FileLock(self._shelves.in_use / key) as lock:
            yield lock.try_acquire(shared=False)
