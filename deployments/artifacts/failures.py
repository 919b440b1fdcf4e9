"""What the last download of a key failed of, for the processes that waited for it: they need not all fail of it in turn."""

from __future__ import annotations

import json
import time
from pathlib import Path

from deployments.errors import ArtifactError, error_by_code


class LastFailure:
    """One failure, kept in a file. Read and written only by whoever holds the key's download lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def record(self, fault: ArtifactError) -> None:
        """Keeps `fault`; a disk that is too full for that must not hide it."""
        told = {"at": time.time_ns(), "code": fault.code, "message": fault.message}
        try:
            self._path.write_text(json.dumps(told))
        except OSError:
            self.forget()

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)

    def raise_if_after(self, began: int) -> None:
        """Raises what failed later than `began`, a time in nanoseconds since the epoch.

        The wall clock, as it means the same in all processes and after a restart. If it is set meanwhile, a
        process tries what it need not have tried.
        """
        try:
            told = json.loads(self._path.read_text())
            at, code, message = int(told["at"]), str(told["code"]), str(told["message"])
        except (OSError, ValueError, KeyError, TypeError):  # there is none, or a crash cut it off
            return
        if began < at <= time.time_ns():
            raise error_by_code(code)(f"{message} [tried by another process on this node]")
