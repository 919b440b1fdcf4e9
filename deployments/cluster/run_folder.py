"""The folder for HAProxy's configuration and sockets of one run, private to the user and gone with the run.

It lies in /tmp, whatever TMPDIR says, for its path must be short: HAProxy takes 97 characters for a socket that
it logs to, of which Ray's node id takes 56.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psutil

_PARENT = Path("/tmp")  # noqa: S108 - mkdtemp makes it unguessable and private
_PREFIX = "penstock-"


def create() -> Path:
    """A new folder that only this user can enter, named after this process."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_PARENT))


def sweep() -> None:
    """Remove this user's folders of runs whose process is gone: those that were killed outright."""
    for folder in _PARENT.glob(f"{_PREFIX}[0-9]*-*"):
        pid = int(folder.name.removeprefix(_PREFIX).split("-")[0])
        if folder.is_dir() and folder.stat().st_uid == os.getuid() and not psutil.pid_exists(pid):
            shutil.rmtree(folder, ignore_errors=True)
