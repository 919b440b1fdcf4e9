"""One range of one object on its way into its place in a file: as it comes, from where it broke off, in bounded memory."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.artifacts.disk import disk_fault
from deployments.artifacts.store.interface import StoredFile
from deployments.artifacts.store.meter import Meter
from deployments.artifacts.store.s3_client import S3Client
from deployments.artifacts.store.s3_faults import FAULTS, Shortened, is_passing
from deployments.errors import StoreError

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Download:
    """What the parts of one download share."""

    client: S3Client
    bucket: str
    prefix: str
    into: Path
    deadline: float
    meter: Meter
    stop: threading.Event


class Part:
    """The bytes from `start` up to, not including, `end` of one file."""

    def __init__(self, download: Download, file: StoredFile, start: int, end: int) -> None:
        self._download = download
        self._file = file
        self._at = start
        self._end = end

    def __call__(self) -> None:
        """Fetches what is missing, however often the connection breaks, as long as each try brings something.

        Raises:
            StoreError: The store refuses, gives something else, or nothing at all; or the disk is full.
            TimeoutError: The deadline passed first.
        """
        path = self._download.into / self._file.path
        what = f"s3://{self._download.bucket}/{self._download.prefix}{self._file.path}"
        # A file of its own per part: one that was left behind can then never write by another's number.
        try:
            target = path.open("r+b", buffering=0)
        except OSError as fault:
            raise disk_fault(fault, path, self._file.size or 0) from None
        with target:
            self._download.client.patiently(
                what,
                lambda: self._attempt(target.fileno(), path, what),
                deadline=self._download.deadline,
                stop=self._download.stop,
            )

    def _attempt(self, number: int, path: Path, what: str) -> bool:
        before = self._at
        try:
            self._receive(number, path, what)
        except FAULTS as fault:
            if self._at == before or not is_passing(fault) or self._late():
                raise
        return self._at == self._end

    def _receive(self, number: int, path: Path, what: str) -> None:
        answer = self._ask()
        # botocore's own wrapper of the stream has no `read1`.
        body, stream = answer["Body"], answer["Body"]._raw_stream  # noqa: SLF001
        try:
            self._check_range(answer, what)
            while self._at < self._end:
                self._write(number, self._next(stream), path)
        except BaseException:
            body.close()  # what else is on its way must not be read by the next request
            raise

    def _next(self, stream: Any) -> bytes:
        # `read1` gives what is there. `read` would wait for a full chunk, minutes at 1 KB/s, and no deadline
        # could be kept.
        chunk: bytes = stream.read1(min(_CHUNK_BYTES, self._end - self._at))
        if self._late():
            raise TimeoutError
        if not chunk:
            raise Shortened
        return chunk

    def _ask(self) -> dict[str, Any]:
        where = {"Bucket": self._download.bucket, "Key": self._download.prefix + self._file.path}
        match = {"IfMatch": self._file.etag} if self._file.etag else {}
        answer: dict[str, Any] = self._download.client.s3.get_object(
            **where, **match, Range=f"bytes={self._at}-{self._end - 1}"
        )
        return answer

    def _check_range(self, answer: dict[str, Any], what: str) -> None:
        # A store that knows no ranges sends the whole object, which would land in the wrong place.
        wanted = f"bytes {self._at}-{self._end - 1}/{self._file.size}"
        given = answer.get(
            "ContentRange", f"bytes 0-{answer['ContentLength'] - 1}/{answer['ContentLength']}"
        )
        if given != wanted:
            raise StoreError(
                f"asked for {what} ({wanted}), the store gives something else ({given})"
            )

    def _write(self, number: int, chunk: bytes, path: Path) -> None:
        try:
            done = 0
            while done < len(chunk):
                done += os.pwrite(number, chunk[done:] if done else chunk, self._at + done)
        except OSError as fault:
            raise disk_fault(fault, path, self._file.size or 0) from None
        self._at += len(chunk)
        self._download.meter.add(len(chunk))

    def _late(self) -> bool:
        return self._download.stop.is_set() or time.monotonic() >= self._download.deadline
