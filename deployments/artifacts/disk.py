"""Room on the disk: asked for before a download and claimed file by file, as a full disk found half way is half an hour lost."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from deployments.errors import StoreError

_STEP = 1000
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_SUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


class DiskFull(StoreError):
    """There is no room for a model's files."""


def amount(size: float) -> str:
    """`size` bytes as a person reads them: ``1.5 GB``, in steps of 1000."""
    if size < _STEP:
        return f"{size:.0f} bytes"
    for unit in ("KB", "MB", "GB"):
        size /= _STEP
        if size < _STEP:
            return f"{size:.3g} {unit}"
    return f"{size / _STEP:.3g} TB"


def check_free(folder: Path, needed: int) -> None:
    """Raises DiskFull if the disk that `folder` is on has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskFull(
            f"the disk is too full for the model's files: {folder} needs {amount(needed)} "
            f"and has {amount(free)} free"
        )


def allocate(path: Path, size: int) -> None:
    """Makes `path` a file of `size` bytes that the disk has room for, and the folders it is in.

    Raises:
        DiskFull: It has not.
        StoreError: The file cannot be made for another reason.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        try:
            _claim(number, size)
        finally:
            os.close(number)
    except OSError as fault:
        raise disk_fault(fault, path, size) from None


def _claim(number: int, size: int) -> None:
    if not size:
        return
    try:
        os.posix_fallocate(number, 0, size)
    except OSError as fault:
        if fault.errno not in _NOT_SUPPORTED:
            raise
        os.truncate(number, size)  # a sparse file: such a disk is found to be full only when it is


def disk_fault(fault: OSError, path: Path, needed: int) -> StoreError:
    """What to tell a person of a write to `path` that failed."""
    if fault.errno in _FULL:
        free = shutil.disk_usage(path.parent if path.parent.is_dir() else "/").free
        return DiskFull(
            f"the disk is full: {path} needs {amount(needed)}, and {path.parent} has {amount(free)} free"
        )
    return StoreError(f"cannot write {path}: {fault.strerror or fault}")
