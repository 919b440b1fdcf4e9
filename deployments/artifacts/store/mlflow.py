"""Every other place of artifacts (``mlflow-artifacts:``, ``gs:``, ``wasbs:``, …), through MLflow's own downloader.

MLflow's downloader has no deadline and cannot be stopped. It runs in a thread that is left behind when time is up, and
writes into a folder of its own whose name nobody else uses: a thread left behind can then touch nothing that counts.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from deployments.artifacts.disk import amount, disk_fault
from deployments.artifacts.hashing import sizes
from deployments.artifacts.paths import check_paths
from deployments.artifacts.store.crew import work_through
from deployments.artifacts.store.daemon_pool import with_daemon_pools
from deployments.artifacts.store.interface import Listing, StoredFile
from deployments.artifacts.store.meter import Meter
from deployments.errors import ArtifactError, StoreError

_FILES = 100_000
_DEPTH = 32
_LOOK_EVERY_S = 0.5


class MlflowStore:
    """An artifact folder that MLflow knows how to reach."""

    def __init__(self, uri: str, *, tracking_uri: str) -> None:
        self._uri = uri
        self._tracking_uri = tracking_uri

    @property
    def uri(self) -> str:
        parts = urlsplit(self._uri)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def list(self, deadline: float) -> Listing:
        found: Listing = []
        try:
            self._run([lambda: found.extend(_walk(self._repository()))], deadline)
        except TimeoutError:
            raise StoreError(
                f"{self.uri} did not list its files in the time for it (PENSTOCK_FETCH_TIMEOUT_S)"
            ) from None
        if not found:
            raise StoreError(f"there are no files at {self.uri}")
        try:
            check_paths([file.path for file in found], self.uri)
        except ArtifactError as fault:
            raise StoreError(fault.message) from None
        return sorted(found, key=lambda file: file.path)

    def fetch(
        self,
        files: Sequence[StoredFile],
        into: Path,
        *,
        deadline: float,
        on_bytes: Callable[[int], None],
    ) -> None:
        meter, done = Meter(files, on_bytes), threading.Event()
        # Beside, never in, the folder whose files are verified.
        aside = Path(tempfile.mkdtemp(prefix=".mlflow-", dir=into.parent))

        def download() -> None:
            try:
                _download(self._repository(), files, aside)
            finally:
                done.set()

        try:
            self._run([download, lambda: _watch(aside, meter, done)], deadline)
            for file in files:
                _move(aside / file.path, into / file.path, file)
        except TimeoutError:
            raise meter.too_slow(self.uri) from None
        finally:
            done.set()
            shutil.rmtree(aside, ignore_errors=True)

    def read(self, path: str, deadline: float, max_bytes: int) -> bytes:
        check_paths([path], self.uri)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            file = StoredFile(path, None)
            self.fetch([file], Path(folder), deadline=deadline, on_bytes=lambda _: None)
            if (Path(folder) / path).stat().st_size > max_bytes:
                raise StoreError(f"{path} at {self.uri} is larger than {amount(max_bytes)}")
            return (Path(folder) / path).read_bytes()

    def _repository(self) -> Any:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return with_daemon_pools(
            get_artifact_repository(self._uri, tracking_uri=self._tracking_uri)
        )

    def _run(self, tasks: Sequence[Callable[[], None]], deadline: float) -> None:
        """Each task in a thread of its own; what MLflow raises becomes one line."""
        try:
            work_through(tasks, threads=len(tasks), deadline=deadline)
        except (StoreError, TimeoutError):
            raise
        except Exception as fault:  # noqa: BLE001 - each of MLflow's stores raises its own kinds
            said = " ".join(str(fault).split()) or type(fault).__name__
            raise StoreError(f"MLflow cannot download from {self.uri}: {said[:500]}") from None


def _walk(repository: Any) -> Iterator[StoredFile]:
    """Every file, by `repository`'s own listing; bounded, as a store may answer anything."""
    count, folders = 0, [("", 0)]
    while folders:
        folder, depth = folders.pop()
        for entry in repository.list_artifacts(folder or None):
            count += 1
            if count > _FILES or depth > _DEPTH:
                raise StoreError("the store lists more than a model version can be made of")
            if not entry.is_dir:
                yield StoredFile(entry.path, entry.file_size)
            elif entry.path not in {folder, "."}:
                folders.append((entry.path, depth + 1))


def _download(repository: Any, files: Sequence[StoredFile], into: Path) -> None:
    if len(files) == 1:
        repository.download_artifacts(files[0].path, str(into))
    else:
        repository.download_artifacts("", str(into))


def _watch(folder: Path, meter: Meter, done: threading.Event) -> None:
    """MLflow tells nobody how far it is, and not every store how much there is: the files' sizes do."""
    ended = False
    while not ended:
        ended = done.wait(_LOOK_EVERY_S)
        there = 0
        with contextlib.suppress(ArtifactError):  # a file vanished while they were counted
            there = sum(sizes(folder).values())
        if there > meter.done:
            meter.add(there - meter.done)


def _move(source: Path, target: Path, file: StoredFile) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.size is not None and source.stat().st_size != file.size:
            raise StoreError(
                f"{file.path} was cut off: the store said that it has {file.size} bytes"
            )
        source.replace(target)
    except FileNotFoundError:
        raise StoreError(f"MLflow did not download {file.path}") from None
    except OSError as fault:
        raise disk_fault(fault, target, file.size or 0) from None
