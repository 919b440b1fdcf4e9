"""The folder for HAProxy's configuration and sockets of one run, private to the user and gone with the run.

It lies in the temporary directory, for its path must be short: a unix socket's path holds 107 characters, of
which Ray's node id and HAProxy's suffix take 78.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psutil

_PREFIX = "penstock-"


def create() -> Path:
    """A new folder that only this user can enter, named after this process."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))


def sweep() -> None:
    """Remove this user's folders of runs whose process is gone: those that were killed outright."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}[0-9]*-*"):
        pid = int(folder.name.removeprefix(_PREFIX).split("-")[0])
        if folder.is_dir() and folder.stat().st_uid == os.getuid() and not psutil.pid_exists(pid):
            shutil.rmtree(folder, ignore_errors=True)
