"""What every place of artifacts can do, whether a folder, S3 or something that MLflow knows how to reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file in a store.

    Attributes:
        path: POSIX path relative to the artifact folder; never leads out of it.
        size: Bytes, or None where a store does not say.
        etag: S3's name for exactly these bytes, quotes included; "" elsewhere.
        vouched: Somebody checks the bytes against a SHA-256 afterwards, so the store's own, weaker
            checksum need not be computed.
    """

    path: str
    size: int | None
    etag: str = ""
    vouched: bool = False


Listing = list[StoredFile]


class Store(Protocol):
    """One artifact folder, wherever it is. Every method raises StoreError, in one line that names the store."""

    @property
    def uri(self) -> str:
        """The folder's address, without any password."""

    def list(self, deadline: float) -> Listing:
        """All files below the folder; `deadline` is in `time.monotonic` seconds."""

    def fetch(
        self,
        files: Sequence[StoredFile],
        into: Path,
        *,
        deadline: float,
        on_bytes: Callable[[int], None],
    ) -> None:
        """Downloads `files` into the folder `into`.

        Args:
            files: As `list` gave them.
            into: An existing folder.
            deadline: When to give up, in `time.monotonic` seconds.
            on_bytes: Told of every few bytes that arrive, by one thread at a time.
        """

    def read(self, path: str, deadline: float, max_bytes: int) -> bytes:
        """One small file whole; refused if it is larger than `max_bytes`."""
