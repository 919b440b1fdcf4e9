"""How far a download got: counted from many threads, told in the error when it does not get further."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from deployments.artifacts.disk import amount
from deployments.artifacts.store.interface import StoredFile
from deployments.errors import StoreError


class Meter:
    """Counts the bytes of one download.

    Attributes:
        done: Bytes that arrived.
        total: Bytes in all, as far as the store said.
    """

    def __init__(self, files: Sequence[StoredFile], on_bytes: Callable[[int], None]) -> None:
        self.done = 0
        self.total = sum(file.size or 0 for file in files)
        self._on_bytes = on_bytes
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.done += count
            self._on_bytes(count)

    def too_slow(self, uri: str) -> StoreError:
        """The error for a deadline that passed."""
        took = time.monotonic() - self._began
        return StoreError(
            f"{uri} is too slow: {amount(self.done)} of {amount(self.total)} came in {took:.1f} s, "
            "and the time for it is up (PENSTOCK_FETCH_TIMEOUT_S is how long a model version's files may take)"
        )
