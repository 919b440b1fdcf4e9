"""What the registry last said of a version, kept on the node: for when it is away, and so that one replica asks for all.

Only versions without a digest in their configuration need it. What the registry said counts for a minute, in which
the other replicas that start do not ask again (MLflow's import alone takes seconds); later, only if the
registry does not answer. A version number can be used twice when a registry is made anew, so it is not for ever.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

FRESH_S = 60.0


class Said(msgspec.Struct, frozen=True):
    """The registry's answer.

    Attributes:
        digest: What the version's files must be, None if nobody pinned it.
        at: When it was said, in seconds since 1970.
    """

    source: str
    digest: str | None
    manifest: str | None
    at: float

    @property
    def fresh(self) -> bool:
        """Whether it was said within the last minute; a clock that was set back makes it old."""
        return 0 <= time.time() - self.at < FRESH_S


class Remembered:
    """The answers of one registry.

    Args:
        folder: Where they are kept; made if it is not there.
        registry: The registry's address.
    """

    def __init__(self, folder: Path, registry: str) -> None:
        self._folder = folder
        self._registry = registry

    @contextmanager
    def alone(self, name: str, version: str) -> Iterator[None]:
        """Only one process of the node at a time deals with this version in here; ends with the process."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path(name, version, ".lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def recall(self, name: str, version: str) -> Said | None:
        """What was said last; None if nothing was, or if it cannot be read any more."""
        try:
            return msgspec.json.decode(self._path(name, version, ".json").read_bytes(), type=Said)
        except (OSError, msgspec.DecodeError):
            return None

    def note(self, name: str, version: str, said: Said) -> None:
        """Keep an answer; whoever reads meanwhile sees the old one or the new one."""
        path = self._path(name, version, ".json")
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(msgspec.json.encode(said))
        fresh.replace(path)

    def _path(self, name: str, version: str, suffix: str) -> Path:
        # Hashed, since an address is no file name and may hold a password.
        key = f"{self._registry}\n{name}\n{version}".encode()
        return self._folder / (hashlib.sha256(key).hexdigest()[:32] + suffix)
