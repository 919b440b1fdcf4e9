"""Locks between the processes of a node: files that the kernel unlocks when whoever held them dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_LOOK_EVERY_S = 0.05


class FileLock:
    """A lock on one open file, held until `close` or until this object or its process is gone.

    The file is never deleted: two processes could then hold locks on two files of one name.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, made if need be; raises OSError if that cannot be."""
        self.path = path
        self._file = path.open("ab")  # closed, and with that unlocked, when it is collected

    def acquire(self, *, shared: bool, deadline: float) -> None:
        """Takes the lock.

        Args:
            shared: Whether others may hold it as well, if they share it too.
            deadline: When to give up, in `time.monotonic` seconds.

        Raises:
            TimeoutError: Somebody else had it until the deadline.
        """
        # Looking again and again, as `flock` itself knows no deadline but a signal, which threads cannot use.
        while not self.try_acquire(shared=shared):
            if time.monotonic() >= deadline:
                raise TimeoutError
            time.sleep(_LOOK_EVERY_S)

    def try_acquire(self, *, shared: bool) -> bool:
        """Takes the lock if nobody is in the way; says whether it did."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def touch(self) -> None:
        """Sets the file's time to now: when what it stands for was last used."""
        os.utime(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
