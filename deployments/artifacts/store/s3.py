"""Artifacts on S3, or on anything that speaks its language: listed with care, fetched in many ranges at once.

boto3's own transfer manager is not used: it has no deadline, starts a file anew when a connection breaks, and waits
for threads that hang.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from deployments.artifacts.disk import allocate, amount
from deployments.artifacts.hashing import available_cpus
from deployments.artifacts.paths import check_paths
from deployments.artifacts.store.checksums import checksum_of
from deployments.artifacts.store.crew import work_through
from deployments.artifacts.store.interface import Listing, StoredFile
from deployments.artifacts.store.meter import Meter
from deployments.artifacts.store.s3_client import Patience, S3Client
from deployments.artifacts.store.s3_part import Download, Part
from deployments.errors import ArtifactError, StoreError

PART_BYTES = 8 << 20
THREADS = min(16, 2 + 2 * available_cpus())
"""Ranges at once: more than cores, as a distant store is slow per connection; not many more, as Python's threads take turns."""
_FILES = 100_000


class S3Store:
    """The objects under one prefix of one bucket."""

    def __init__(
        self,
        uri: str,
        *,
        endpoint_url: str | None = None,
        patience: Patience | None = None,
        page: int = 1000,
    ) -> None:
        """Nothing is contacted yet; `page` is how many objects are listed at once, 1000 at most."""
        self._uri, self._page_size = uri, page
        # Not `urlsplit`: to S3 a "?" or "#" is a letter like any other.
        self._bucket, _, prefix = uri.partition("://")[2].partition("/")
        if not self._bucket:
            raise StoreError(f"{uri} names no bucket: write s3://bucket/prefix")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client = S3Client(
            uri, endpoint_url=endpoint_url, patience=patience or Patience(), connections=THREADS
        )

    @property
    def uri(self) -> str:
        return self._uri

    def list(self, deadline: float) -> Listing:
        found: Listing = []
        token: dict[str, str] = {}
        while True:
            page = self._page(token, deadline)
            found.extend(self._files(page))
            if len(found) > _FILES:
                raise StoreError(
                    f"{self._uri} has more than {_FILES} objects: is it one model version's?"
                )
            if not page.get("IsTruncated"):
                break
            token = {"ContinuationToken": page["NextContinuationToken"]}
        if not found:
            raise StoreError(f"there are no objects under {self._uri}")
        try:
            check_paths([file.path for file in found], self._uri)
        except ArtifactError as fault:
            raise StoreError(fault.message) from None
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
        shared = Download(self._client, self._bucket, self._prefix, into, deadline, meter, stop)
        checks = [partial(self._check, file, into, deadline) for file in files if not file.vouched]
        try:
            work_through(_parts(shared, files), threads=THREADS, deadline=deadline, stop=stop)
            work_through(checks, threads=THREADS, deadline=deadline)
        except TimeoutError:
            raise meter.too_slow(self._uri) from None

    def read(self, path: str, deadline: float, max_bytes: int) -> bytes:
        check_paths([path], self._uri)
        key, found = self._prefix + path, bytearray()

        def attempt() -> bool:
            found.clear()
            body = self._client.s3.get_object(Bucket=self._bucket, Key=key)["Body"]
            try:
                # As in `Part`: what is there, so that the deadline can be looked at.
                while len(found) <= max_bytes and (chunk := body._raw_stream.read1(1 << 16)):  # noqa: SLF001
                    found.extend(chunk)
            finally:
                body.close()
            return True

        self._run(lambda: self._ask(f"s3://{self._bucket}/{key}", attempt, deadline), deadline)
        if len(found) > max_bytes:
            raise StoreError(f"s3://{self._bucket}/{key} is larger than {amount(max_bytes)}")
        return bytes(found)

    def _page(self, token: dict[str, str], deadline: float) -> dict[str, Any]:
        page: dict[str, Any] = {}

        def attempt() -> bool:
            page.update(
                self._client.s3.list_objects_v2(
                    Bucket=self._bucket, Prefix=self._prefix, MaxKeys=self._page_size, **token
                )
            )
            return True

        self._run(lambda: self._ask(self._uri, attempt, deadline), deadline)
        return page

    def _files(self, page: dict[str, Any]) -> Listing:
        return [
            StoredFile(entry["Key"][len(self._prefix) :], entry["Size"], entry.get("ETag", ""))
            for entry in page.get("Contents", [])
            # What consoles make to show a folder: an empty object whose name ends with the separator.
            if not (entry["Key"].endswith("/") and entry["Size"] == 0)
        ]

    def _check(self, file: StoredFile, into: Path, deadline: float) -> None:
        """Holds a file that nobody vouches for against the checksum that the store keeps of it."""
        key, heads = self._prefix + file.path, []

        def attempt() -> bool:
            heads.append(
                self._client.s3.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
            )
            return True

        what = f"s3://{self._bucket}/{key}"
        self._ask(what, attempt, deadline)
        expected = checksum_of(heads[0])
        if expected and not expected.matches(into / file.path):
            raise StoreError(f"{what} did not arrive as it is stored: its {expected.name} differs")

    def _ask(self, what: str, attempt: Callable[[], bool], deadline: float) -> None:
        self._client.patiently(what, attempt, deadline=deadline)

    def _run(self, task: Callable[[], None], deadline: float) -> None:
        """`task` in a thread, so that an answer that drips in cannot hold the deadline up."""
        try:
            work_through([task], threads=1, deadline=deadline)
        except TimeoutError:
            raise StoreError(
                f"{self._uri} did not answer in the time for it (PENSTOCK_FETCH_TIMEOUT_S)"
            ) from None


def _parts(shared: Download, files: Sequence[StoredFile]) -> list[Part]:
    """Ranges of all files, the largest file first: its parts are many, and none of them should be last."""
    order = sorted(files, key=lambda file: -(file.size or 0))
    return [
        Part(shared, file, start, min(start + PART_BYTES, size))
        for file in order
        if (size := file.size or 0)
        for start in range(0, size, PART_BYTES)
    ]
