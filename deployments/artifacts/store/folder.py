"""Artifacts in a folder that this machine can see: a disk, or a file system that many share."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from deployments.artifacts.disk import allocate, amount, disk_fault
from deployments.artifacts.hashing import sizes
from deployments.artifacts.paths import check_paths
from deployments.artifacts.store.crew import work_through
from deployments.artifacts.store.interface import Listing, StoredFile
from deployments.artifacts.store.meter import Meter
from deployments.errors import ArtifactError, StoreError

_SLICE_BYTES = 8 << 20
_THREADS = 4


class FolderStore:
    """A folder; what may hang in it is a network file system, so its deadlines are kept by other threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def uri(self) -> str:
        return str(self._folder)

    def list(self, deadline: float) -> Listing:
        found: Listing = []

        def look() -> None:
            found.extend(StoredFile(*item) for item in sorted(sizes(self._folder).items()))

        try:
            work_through([look], threads=1, deadline=deadline)
            check_paths([file.path for file in found], self.uri)
        except TimeoutError:
            raise StoreError(f"{self.uri} did not list its files in the time for it") from None
        except StoreError:
            raise
        except ArtifactError as fault:
            raise StoreError(fault.message) from None
        if not found:
            raise StoreError(f"there are no files in {self.uri}")
        return found

    def fetch(
        self,
        files: Sequence[StoredFile],
        into: Path,
        *,
        deadline: float,
        on_bytes: Callable[[int], None],
    ) -> None:
        meter, stop = Meter(files, on_bytes), threading.Event()
        for file in files:
            allocate(into / file.path, file.size or 0)
        copies = [partial(self._copy, file, into / file.path, meter, stop) for file in files]
        try:
            work_through(copies, threads=_THREADS, deadline=deadline, stop=stop)
        except TimeoutError:
            raise meter.too_slow(self.uri) from None

    def read(self, path: str, deadline: float, max_bytes: int) -> bytes:
        check_paths([path], self.uri)
        found: list[bytes] = []  # a thread's result
        try:
            work_through(
                [lambda: found.append(self._start_of(path, max_bytes + 1))],
                threads=1,
                deadline=deadline,
            )
        except TimeoutError:
            raise StoreError(f"{self.uri} did not give {path} in the time for it") from None
        except OSError as fault:
            raise StoreError(f"cannot read {path} in {self.uri}: {fault.strerror}") from None
        if len(found[0]) > max_bytes:
            raise StoreError(f"{path} in {self.uri} is larger than {amount(max_bytes)}")
        return found[0]

    def _start_of(self, path: str, size: int) -> bytes:
        number = os.open(self._folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as file:
            return file.read(size)

    def _copy(self, file: StoredFile, target: Path, meter: Meter, stop: threading.Event) -> None:
        source = self._folder / file.path
        try:
            number = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as fault:
            raise StoreError(f"cannot read {source}: {fault.strerror}") from None
        at, size = 0, file.size or 0
        with os.fdopen(number, "rb") as read, target.open("r+b") as written:
            while at < size and not stop.is_set():
                try:
                    count = os.sendfile(
                        written.fileno(), read.fileno(), at, min(_SLICE_BYTES, size - at)
                    )
                except OSError as fault:
                    raise disk_fault(fault, target, size) from None
                if not count:
                    raise StoreError(f"{source} became shorter while it was copied")
                at += count
                meter.add(count)
