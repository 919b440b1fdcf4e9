"""Models' files on one node, shared by all its processes: downloaded once, verified whenever they are handed out.

Who does what under which lock: whoever uses an entry shares ``in-use/KEY`` from before it looks for the entry until
it is done with it, downloads included; eviction needs that lock alone, so it never meets a user. Whoever makes or
quarantines an entry holds ``locks/KEY`` alone, so there is one download per key.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from deployments.artifacts.disk import DiskFull, disk_fault
from deployments.artifacts.eviction import Eviction
from deployments.artifacts.failures import LastFailure
from deployments.artifacts.leftovers import keep_what_is_whole
from deployments.artifacts.locks import FileLock
from deployments.artifacts.manifest import Manifest, check_manifest, manifest_of, verify
from deployments.artifacts.shelves import Shelves, check_key, weight
from deployments.errors import ArtifactError, DigestMismatch

log = logging.getLogger(__name__)


class Held:
    """An entry in use: verified, read-only, and not evicted until `close` or the end of the process.

    Attributes:
        folder: Where the files lie.
        fetched: Whether this call downloaded them.
    """

    def __init__(self, folder: Path, lock: FileLock, *, fetched: bool) -> None:
        self.folder = folder
        self.fetched = fetched
        self._lock = lock

    def close(self) -> None:
        """From now on the files may vanish."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Cache:
    """The cache in the folder `root`, of `max_bytes` at most."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._shelves = Shelves(root)
        self._eviction = Eviction(self._shelves, max_bytes)

    def has(self, key: str) -> bool:
        """Whether there is an entry now; whether it is sound, only `acquire` tells."""
        return (self._shelves.entries / check_key(key)).exists()

    def make_room(self, needed: int) -> None:
        """For a download that is about to begin: evicts until `needed` bytes fit, or raises ArtifactError."""
        self._eviction.make_room(needed)

    def acquire(
        self,
        key: str,
        fill: Callable[[Path], None],
        *,
        digest: str | None,
        manifest: Manifest | None = None,
        deadline: float,
        on_event: Callable[[str], None] = lambda said: None,
    ) -> Held:
        """The files of `key`, verified, and kept from eviction as long as they are held.

        Args:
            key: ``sha256-<hex>`` of the digest, or ``unverified-<hex>`` for files that nobody vouches for.
            fill: Downloads the files into a folder; called only if they are not here, by one process at a
                time. What the folder holds already is whole and as `manifest` says.
            digest: What the files must add up to; None if nobody knows.
            manifest: What `digest` stands for, where it is known: errors then name files.
            deadline: When to stop waiting for another process, in `time.monotonic` seconds; `fill` keeps its own.
            on_event: Told in a line what is done that takes long, or is worth knowing.

        Raises:
            DigestMismatch: What `fill` brought is something else. It is in quarantine.
            ArtifactError: Another process took too long, or the cache is too small or cannot be written.
            Exception: Whatever `fill` raises; or raised in another process while this one waited for it.
        """
        check_key(key)
        if digest is not None and manifest is not None:
            check_manifest(manifest, digest)
        visit = _Visit(self._shelves, self._eviction, key, digest, manifest, on_event)
        marker = self._shelves.in_use / key
        with ExitStack() as undo:
            try:
                lock = undo.enter_context(FileLock(marker))
                lock.acquire(shared=True, deadline=deadline)
                fetched = visit.ensure(fill, deadline)
                lock.touch()
            except TimeoutError:
                raise ArtifactError(
                    f"another process on this node has been working on {key} in {self._shelves.root} "
                    "for longer than this one may wait (PENSTOCK_FETCH_TIMEOUT_S)"
                ) from None
            except OSError as fault:
                raise disk_fault(fault, marker, 0) from None
            undo.pop_all()  # from here on the lock is the holder's
        return Held(visit.files, lock, fetched=fetched)


class _Visit:
    """One call of `acquire`, with the shared lock on the key held around it."""

    def __init__(
        self,
        shelves: Shelves,
        eviction: Eviction,
        key: str,
        digest: str | None,
        manifest: Manifest | None,
        on_event: Callable[[str], None],
    ) -> None:
        self._shelves, self._eviction = shelves, eviction
        self._key, self._digest, self._manifest = key, digest, manifest
        self._on_event = on_event
        self._entry = shelves.entries / key
        self._partial = shelves.partial / key
        self.files = self._entry / "files"

    def ensure(self, fill: Callable[[Path], None], deadline: float) -> bool:
        """Makes sure that a sound entry is there; returns whether it had to be downloaded."""
        began = time.time_ns()
        if self._fault() is None:
            return False
        with FileLock(self._shelves.locks / self._key) as turn:
            if not turn.try_acquire(shared=False):
                self._on_event("waiting for another process on this node to download the files")
                turn.acquire(shared=False, deadline=deadline)
            failure = LastFailure(self._shelves.locks / f"{self._key}.failed")
            failure.raise_if_after(began)
            fault = self._fault()  # once more: another process may have been here meanwhile
            if fault is None:
                return False
            if self._entry.exists():
                self._quarantine(self._entry, fault)
            try:
                self._fill(fill)
            except ArtifactError as raised:
                failure.record(raised)
                raise
            failure.forget()
            return True

    def _fault(self) -> str | None:
        """Why the entry cannot be handed out; None if it can."""
        if not self._entry.exists():
            return "it is not there"
        try:
            recorded = Manifest.parse((self._entry / "manifest").read_text())
            digest = self._digest or recorded.digest
            verify(self.files, digest, self._manifest or recorded)
        except ArtifactError as fault:
            return fault.message
        except (OSError, UnicodeError) as fault:
            return f"its manifest cannot be read: {fault}"
        return None

    def _fill(self, fill: Callable[[Path], None]) -> None:
        files = self._partial / "files"
        try:
            keep_what_is_whole(self._shelves, self._partial, self._manifest)
            files.mkdir(parents=True, exist_ok=True)
            fill(files)
            manifest = self._what_came(files)
            self._eviction.check_fits(weight(self._partial))
            self._shelves.publish(self._key, manifest.text)
        except DigestMismatch as fault:
            if weight(self._partial):  # else it is the store's listing that differs: nothing came
                where = self._quarantine(self._partial, fault.message)
                raise DigestMismatch(
                    f"{fault.message}; they are in quarantine in {where}"
                ) from None
            raise
        except DiskFull:
            self._shelves.discard(self._partial)  # the rest of the node needs the disk more
            raise
        except OSError as fault:
            raise disk_fault(fault, self._partial, 0) from None
        self._eviction.trim()

    def _what_came(self, files: Path) -> Manifest:
        if self._digest is None:
            return manifest_of(files)
        if self._manifest is not None:
            verify(files, self._digest, self._manifest)
            return self._manifest
        found = manifest_of(files)
        if found.digest != self._digest:
            raise DigestMismatch(f"the files are {found.digest}, but {self._digest} was registered")
        return found

    def _quarantine(self, folder: Path, reason: str) -> Path:
        where = self._shelves.quarantine(folder, reason)
        said = f"{self._key} went to quarantine in {where}: {reason}"
        log.error("%s", said)
        self._on_event(said)
        return where
