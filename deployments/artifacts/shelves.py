"""How a cache lies on the disk, and the ways a folder moves in it: each by one rename, so that a crash leaves no half.

::

    entries/KEY/files/…     a model version's files, read-only        entries/KEY/manifest   what they are
    partial/KEY/files/…     a download that is under way or was cut off by a crash
    quarantine/KEY.N/       what was not what it should be, with the `reason`; a few, to be looked at
    in-use/KEY              locked by whoever uses the entry; its time is when it was last used
    locks/KEY               locked by whoever downloads
    trash/                  what is being deleted
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

from deployments.errors import ArtifactError

_KEY = re.compile(r"(sha256|unverified)-[0-9a-f]{64}")
_KEPT_IN_QUARANTINE = 3


class Shelves:
    """The folders of one cache.

    Raises:
        ArtifactError: They cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries, self.partial = root / "entries", root / "partial"
        self.quarantined, self.trash = root / "quarantine", root / "trash"
        self.in_use, self.locks = root / "in-use", root / "locks"
        try:
            for folder in (self.entries, self.partial, self.quarantined, self.trash):
                folder.mkdir(parents=True, exist_ok=True)
            for folder in (self.in_use, self.locks):
                folder.mkdir(exist_ok=True)
        except OSError as fault:
            raise ArtifactError(
                f"cannot keep models' files in {root}: {fault.strerror} (PENSTOCK_CACHE says where)"
            ) from None

    def publish(self, key: str, manifest: str) -> Path:
        """Makes the finished download of `key` an entry that survives a power cut."""
        partial = self.partial / key
        (partial / "manifest").write_text(manifest)
        _settle(partial)
        target = self.entries / key
        partial.rename(target)
        _sync(self.entries)
        return target

    def quarantine(self, folder: Path, reason: str) -> Path:
        """Puts `folder`, an entry or a download, where nobody uses it; the oldest there give way."""
        target = self.quarantined / f"{folder.name}.{self._next_number()}"
        folder.rename(target)
        (target / "reason").write_text(f"{reason}\n")
        for old in self.in_quarantine()[:-_KEPT_IN_QUARANTINE]:
            self.discard(old)
        return target

    def in_quarantine(self) -> list[Path]:
        """What is in quarantine, the oldest first."""
        return sorted(self.quarantined.iterdir(), key=_number)

    def discard(self, folder: Path) -> None:
        """Deletes `folder`: out of everybody's sight first, as deleting takes a while and may be cut off."""
        aside = self.trash / f"{folder.name}.{os.getpid()}.{time.monotonic_ns()}"
        # Somebody else was faster, or it is not ours to delete: whoever counts bytes finds out.
        with contextlib.suppress(OSError):
            folder.rename(aside)
            delete(aside)

    def empty_trash(self) -> None:
        """Deletes what a crash left half deleted."""
        for folder in self.trash.iterdir():
            delete(folder)

    def _next_number(self) -> int:
        return 1 + max(map(_number, self.quarantined.iterdir()), default=0)


def check_key(key: str) -> str:
    """`key` itself if it can be the name of an entry; ArtifactError if not, as it becomes a path."""
    if not _KEY.fullmatch(key):
        raise ArtifactError(
            f"{key!r} is no key of the cache: it is sha256- or unverified- and 64 hex digits"
        )
    return key


def weight(folder: Path) -> int:
    """Bytes of all files below `folder`; what is deleted meanwhile counts as nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).lstat().st_size
    return total


def delete(folder: Path) -> None:
    """Deletes a folder with all in it, read-only or not; what somebody else deletes meanwhile is no fault."""
    unlock(folder)
    shutil.rmtree(folder, ignore_errors=True)


def unlock(folder: Path) -> None:
    """Lets its owner delete and add in `folder` and all folders below it."""
    for parent, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(parent).chmod(0o755)


def _settle(folder: Path) -> None:
    """Makes the files read-only and has the disk write them, folders after what is in them."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(parent) / name
            path.chmod(0o444)
            _sync(path)
        # The entry's own folder stays writable: to rename a folder one must be allowed to write to it.
        Path(parent).chmod(0o755 if parent == str(folder) else 0o555)
        _sync(Path(parent))


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _number(folder: Path) -> int:
    tail = folder.name.rpartition(".")[2]
    return int(tail) if tail.isdecimal() else 0
