"""A disk that is full, before and in the middle of a download: on a real one of 4 MB."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.artifacts.cache import Cache
from deployments.artifacts.disk import DiskFull, allocate
from deployments.artifacts.fetch import Limits, key_of, obtain
from deployments.artifacts.manifest import manifest_of
from deployments.artifacts.store.folder import FolderStore
from tests.artifacts.conftest import Stored


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        # A disk of its own is the only one that can be filled without filling the machine's.
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_too_little_is_free_from_the_start(s3: Stored, small_disk: Path) -> None:
    """Said before the first byte, with what is needed and what there is; nothing stays behind."""
    cache = Cache(small_disk / "cache", 10**9)
    with pytest.raises(DiskFull, match=r"needs 20 MB and has [\d.]+ MB free"):
        obtain(
            cache,
            key_of(None, s3.uri),
            open_store=s3.store,
            digest=None,
            manifest=None,
            limits=Limits(10, 10**9),
        )
    assert s3.proxy.served == 0
    assert not any((small_disk / "cache/partial").iterdir())


def test_the_disk_fills_up_as_room_is_claimed(s3: Stored, small_disk: Path) -> None:
    """Another process may take what was free a moment ago: the file that has no room is named."""
    store, deadline = s3.store(), time.monotonic() + 10
    with pytest.raises(DiskFull, match=r"the disk is full: .*weights.bin needs 20 MB"):
        store.fetch(store.list(deadline), small_disk, deadline=deadline, on_bytes=lambda _: None)


@pytest.mark.parametrize("kind", ["s3", "folder"])
def test_the_disk_fills_up_in_mid_download(
    s3: Stored, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Where room cannot be claimed, the full disk is met by a write: the same line, and the room is given back."""

    # A stand-in for file systems that cannot reserve room (some network ones), of which there is none here.
    def unable(number: int, start: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "posix_fallocate", unable)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 0, 10**9)
    )
    large = tmp_path / "large"
    large.mkdir()
    (large / "weights").write_bytes(b"w" * 6_000_000)
    (large / "MLmodel").write_bytes(b"m")
    cache = Cache(small_disk / "cache", 10**9)
    # Files are written side by side: a small one may be the first to find no room for its bytes.
    with pytest.raises(DiskFull, match=r"the disk is full: \S+/files/\S.* needs [\d.]+ "):
        obtain(
            cache,
            key_of(manifest_of(large).digest, ""),
            open_store=s3.store if kind == "s3" else lambda: FolderStore(large),
            digest=manifest_of(large).digest,
            manifest=None,
            limits=Limits(20, 10**9),
        )
    assert not any((small_disk / "cache/partial").iterdir())


def test_claimed_room_is_there(tmp_path: Path) -> None:
    """A file has its full size from the start, folders and all; an empty one too."""
    allocate(tmp_path / "a/b", 12345)
    allocate(tmp_path / "a/empty", 0)
    assert (tmp_path / "a/b").stat().st_size == 12345
    assert (tmp_path / "a/b").stat().st_blocks * 512 >= 12345
    assert (tmp_path / "a/empty").stat().st_size == 0
