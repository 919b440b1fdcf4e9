"""SHA-256 of every file in a folder, as fast as the cores allow: `hashlib` lets go of the GIL, so threads suffice."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deployments.errors import ArtifactError

_CHUNK_BYTES = (
    2 << 20
)  # smaller ones cost more turns at the GIL than they win in the processor's cache


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file below `folder`, by its POSIX path relative to it; folders alone count as nothing.

    Raises:
        ArtifactError: `folder` is none, cannot be read, or holds something other than files and folders. A
            link is refused, not followed: what it shows may change after it was verified, and may lie outside.
    """
    try:
        return dict(_walk(folder, ""))
    except OSError as fault:
        raise ArtifactError(
            f"cannot read the artifact folder {folder}: {fault.strerror or fault}"
        ) from None


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), f"{path}/")
            elif entry.is_file(follow_symlinks=False):
                yield path, entry.stat(follow_symlinks=False).st_size
            else:
                kind = "a link" if entry.is_symlink() else "not a regular file"
                raise ArtifactError(
                    f"{path} in the artifact folder {folder} is {kind}: a model's files must be plain files"
                )


def hashes(folder: Path, files: Mapping[str, int], *, threads: int | None = None) -> dict[str, str]:
    """Hex SHA-256 of `files` (path to size) in `folder`, in parallel.

    Raises:
        ArtifactError: A file cannot be read.
    """
    # The large ones first: whichever is last to finish then finishes early.
    order = sorted(files, key=lambda path: -files[path])
    with ThreadPoolExecutor(max_workers=threads or available_cpus()) as pool:
        found = pool.map(lambda path: _sha256(folder, path), order)
        return dict(zip(order, found, strict=True))


def available_cpus() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def _sha256(folder: Path, path: str) -> str:
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    try:
        # Not blocked by a pipe, not led away by a link, that took the file's place after it was listed.
        number = os.open(folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(number, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise ArtifactError(f"{path} in the artifact folder {folder} is not a regular file")
            while count := file.readinto(buffer):
                digest.update(buffer[:count])
    except OSError as fault:
        raise ArtifactError(
            f"cannot read {path} in the artifact folder {folder}: {fault.strerror or fault}"
        ) from None
    return digest.hexdigest()
