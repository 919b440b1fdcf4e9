"""The cache as many processes, crashes, full disks and flipped bits meet it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.artifacts.cache import Cache, Held
from deployments.artifacts.manifest import Manifest, manifest_of
from deployments.errors import ArtifactError, DigestMismatch, StoreError

USER = Path(__file__).with_name("user.py")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return made(tmp_path / "source", b"weights")


def made(folder: Path, content: bytes, size: int = 1000) -> Path:
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_bytes(b"flavors: {}")
    (folder / "data/weights").write_bytes((content * size)[:size])
    return folder


def copy(source: Path) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        for path in manifest_of(source).files:
            if not (folder / path).exists():
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).write_bytes((source / path).read_bytes())

    return fill


def never(folder: Path) -> None:
    raise AssertionError("downloaded although it is there")


def key_of(manifest: Manifest) -> str:
    return manifest.digest.replace(":", "-")


def take(cache: Cache, source: Path, fill: Callable[[Path], None] | None = None) -> Held:
    manifest = manifest_of(source)
    return cache.acquire(
        key_of(manifest),
        fill or copy(source),
        digest=manifest.digest,
        manifest=manifest,
        deadline=time.monotonic() + 20,
    )


def user(root: Path, source: Path, mode: str, *more: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(USER), str(root), str(source), mode, *map(str, more)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_use_downloads_nothing(tmp_path: Path, source: Path) -> None:
    """What is in the cache is handed out without a download, read-only, and after a restart too."""
    cache = Cache(tmp_path / "cache", 10**6)
    with take(cache, source) as held:
        assert held.fetched
        assert manifest_of(held.folder) == manifest_of(source)
        modes = {path.stat().st_mode & 0o777 for path in held.folder.rglob("*")}
        assert modes == {0o444, 0o555}
    again = take(Cache(tmp_path / "cache", 10**6), source, never)
    assert not again.fetched
    assert not any((tmp_path / "cache/partial").iterdir())


def test_ten_processes_download_once(tmp_path: Path, source: Path) -> None:
    """However many replicas start at once on a node, one downloads and all get the files."""
    team = [user(tmp_path / "cache", source, "meet", 9) for _ in range(10)]
    assert sorted(process.communicate(timeout=60)[0].strip() for process in team) == [
        "fetched",
        *["found"] * 9,
    ]
    assert (tmp_path / "downloads").read_text() == "x\n"


def test_those_who_wait_hear_of_the_failure(tmp_path: Path, source: Path) -> None:
    """A download that fails is told to all who waited for it; whoever comes later tries again."""
    team = [user(tmp_path / "cache", source, "fail", 3) for _ in range(4)]
    told = sorted(process.communicate(timeout=60)[0].strip() for process in team)
    other = "store: the store is away [tried by another process on this node]"
    assert told == ["store: the store is away", *[other] * 3]
    assert take(Cache(tmp_path / "cache", 10**6), source).fetched


def test_waiting_ends_at_the_deadline(tmp_path: Path, source: Path) -> None:
    """Somebody else's download that never ends is an error at one's own deadline."""
    slow = user(tmp_path / "cache", source, "stall")
    assert said(slow) == "stalled"
    manifest = manifest_of(source)
    with pytest.raises(ArtifactError, match="another process on this node"):
        Cache(tmp_path / "cache", 10**6).acquire(
            key_of(manifest), never, digest=manifest.digest, deadline=time.monotonic() + 0.2
        )
    slow.kill()
    slow.communicate()


def test_a_kill_in_mid_download_costs_only_what_was_not_whole(tmp_path: Path, source: Path) -> None:
    """After kill -9 the next download finds the whole files in place, and none that is half there."""
    stalled = user(tmp_path / "cache", source, "stall")
    assert said(stalled) == "stalled"
    stalled.kill()
    stalled.communicate()
    seen: list[list[str]] = []

    def fill(folder: Path) -> None:
        seen.append([str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()])
        copy(source)(folder)

    held = take(Cache(tmp_path / "cache", 10**6), source, fill)
    assert seen == [["MLmodel"]]
    assert manifest_of(held.folder) == manifest_of(source)


@pytest.mark.parametrize("mode", ["die-before", "die-after"])
def test_a_kill_as_the_entry_is_published(tmp_path: Path, source: Path, mode: str) -> None:
    """Before the rename nothing is there, after it all: either way the next use finds what came."""
    dying = user(tmp_path / "cache", source, mode)
    dying.communicate(timeout=60)
    assert dying.returncode == 9
    held = take(Cache(tmp_path / "cache", 10**6), source)
    assert held.fetched == (mode == "die-before")
    assert manifest_of(held.folder) == manifest_of(source)


def corrupt(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(500)
        byte = file.read(1)
        file.seek(500)
        file.write(bytes([byte[0] ^ 1]))


def test_flipped_bits_on_the_disk(tmp_path: Path, source: Path) -> None:
    """An entry that is not what it was is put away with the reason, and downloaded again."""
    cache = Cache(tmp_path / "cache", 10**6)
    with take(cache, source) as held:
        corrupt(held.folder / "data/weights")
    events: list[str] = []
    manifest = manifest_of(source)
    held = cache.acquire(
        key_of(manifest),
        copy(source),
        digest=manifest.digest,
        deadline=time.monotonic() + 20,
        on_event=events.append,
    )
    assert held.fetched
    assert manifest_of(held.folder) == manifest
    (put_away,) = (tmp_path / "cache/quarantine").iterdir()
    assert "changed: data/weights" in (put_away / "reason").read_text()
    assert str(put_away) in events[0]


def test_what_came_is_not_what_was_registered(tmp_path: Path, source: Path) -> None:
    """Nothing is handed out; what came is in quarantine, and the error says which file and where."""
    other = made(tmp_path / "other", b"malice")
    with pytest.raises(DigestMismatch, match=r"changed: data/weights\).*quarantine") as caught:
        take(Cache(tmp_path / "cache", 10**6), source, copy(other))
    (put_away,) = (tmp_path / "cache/quarantine").iterdir()
    assert str(put_away) in caught.value.message
    assert not any((tmp_path / "cache/entries").iterdir())


def test_quarantine_does_not_grow(tmp_path: Path, source: Path) -> None:
    """A version that is wrong each time it is tried fills no disk."""
    other = made(tmp_path / "other", b"malice")
    cache = Cache(tmp_path / "cache", 10**6)
    for _ in range(5):
        with pytest.raises(DigestMismatch):
            take(cache, source, copy(other))
    kept = sorted(
        path.name.rpartition(".")[2] for path in (tmp_path / "cache/quarantine").iterdir()
    )
    assert kept == ["3", "4", "5"]


def test_the_longest_unused_goes_first_and_what_is_held_never(tmp_path: Path) -> None:
    """A full cache lets go of what nobody holds, in another process or in this one, by last use."""
    sources = [made(tmp_path / f"s{n}", str(n).encode()) for n in range(5)]
    cache = Cache(tmp_path / "cache", 4 * 1300)
    holder = user(tmp_path / "cache", sources[0], "hold")
    assert said(holder) == "fetched"
    for source in sources[1:3]:
        take(cache, source).close()
    mine = take(cache, sources[3])
    take(cache, sources[1], never).close()  # used again: the third is the oldest now
    entries = tmp_path / "cache/entries"

    def room(folder: Path) -> None:
        cache.make_room(1100)
        copy(sources[4])(folder)

    take(cache, sources[4], room).close()
    there = {path.name for path in entries.iterdir()}
    assert there == {key_of(manifest_of(sources[n])) for n in (0, 1, 3, 4)}
    with pytest.raises(ArtifactError, match="beside models in use"):
        cache.make_room(3000)
    assert {path.name for path in entries.iterdir()} == {
        key_of(manifest_of(sources[n])) for n in (0, 3)
    }
    assert manifest_of(mine.folder) == manifest_of(sources[3])
    holder.communicate("\n", timeout=20)
    cache.make_room(3000)
    assert [path.name for path in entries.iterdir()] == [key_of(manifest_of(sources[3]))]


def test_quarantine_goes_before_any_entry(tmp_path: Path, source: Path) -> None:
    """What was refused makes room for what serves."""
    cache = Cache(tmp_path / "cache", 3 * 1300)
    with pytest.raises(DigestMismatch):
        take(cache, made(tmp_path / "wanted", b"w"), copy(made(tmp_path / "came", b"c")))
    take(cache, source).close()
    cache.make_room(2000)
    assert not any((tmp_path / "cache/quarantine").iterdir())
    take(cache, source, never).close()


def test_larger_than_the_cache(tmp_path: Path, source: Path) -> None:
    """A version that fits into no cache of this size is refused with both sizes, before and after."""
    cache = Cache(tmp_path / "cache", 900)
    with pytest.raises(ArtifactError, match=r"1\.01 KB, and the cache .* may hold 900 bytes"):
        take(cache, source)
    with pytest.raises(ArtifactError, match="PENSTOCK_CACHE_MAX_BYTES"):
        cache.make_room(901)


def test_files_that_nobody_vouches_for_are_still_held_to_what_came_first(
    tmp_path: Path, source: Path
) -> None:
    """Without a digest the cache remembers its own: bits that flip later are noticed."""
    cache = Cache(tmp_path / "cache", 10**6)
    key = "unverified-" + "0" * 64
    deadline = time.monotonic() + 20
    with cache.acquire(key, copy(source), digest=None, deadline=deadline) as held:
        corrupt(held.folder / "data/weights")
    assert cache.acquire(key, copy(source), digest=None, deadline=deadline).fetched
    assert not cache.acquire(key, never, digest=None, deadline=deadline).fetched


def test_what_a_crash_left_of_a_deletion_is_deleted(tmp_path: Path, source: Path) -> None:
    """Deleting begins with a rename, so what is left when it is cut off is rubbish, and known as such."""
    cache = Cache(tmp_path / "cache", 10**6)
    take(cache, source).close()
    (entry,) = (tmp_path / "cache/entries").iterdir()
    entry.rename(tmp_path / "cache/trash/left")
    assert take(cache, source).fetched
    assert not any((tmp_path / "cache/trash").iterdir())


@pytest.mark.parametrize("key", ["", "../up", "sha256-12", "sha256-" + "0" * 63 + "/"])
def test_a_key_is_no_path(tmp_path: Path, key: str) -> None:
    """A key becomes a folder's name: only digests can."""
    with pytest.raises(ArtifactError, match="is no key"):
        Cache(tmp_path, 1).acquire(key, never, digest=None, deadline=0)


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    """A root that is a file says so, and which setting names it."""
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="PENSTOCK_CACHE"):
        Cache(tmp_path / "file", 1)


def test_a_failed_download_can_be_tried_again(tmp_path: Path, source: Path) -> None:
    """An error of the store leaves no entry behind, and the lock free."""
    cache = Cache(tmp_path / "cache", 10**6)

    def fail(folder: Path) -> None:
        raise StoreError("away")

    with pytest.raises(StoreError, match=r"^away$"):
        take(cache, source, fail)
    assert take(cache, source).fetched
