"""What a download that was cut off left behind: kept where it is whole, so that a crash does not cost all of it."""

from __future__ import annotations

from pathlib import Path

from deployments.artifacts.hashing import hashes, sizes
from deployments.artifacts.manifest import Manifest
from deployments.artifacts.shelves import Shelves, delete, unlock
from deployments.errors import ArtifactError


def keep_what_is_whole(shelves: Shelves, partial: Path, manifest: Manifest | None) -> None:
    """Deletes all in the download `partial` but the files that are as `manifest` says; all of it without one.

    Sizes say nothing here: a file has its full size from the start, and holes where nothing came yet.
    """
    if not partial.exists():
        return
    if manifest is None:
        shelves.discard(partial)
        return
    unlock(partial)  # the crash may have come when everything was read-only already
    for child in partial.iterdir():
        if child.name != "files":
            delete(child) if child.is_dir() else child.unlink()
    files = partial / "files"
    try:
        there = sizes(files)
        known = {path: size for path, size in there.items() if path in manifest.files}
        found = hashes(files, known)
    except ArtifactError:  # unreadable, or something odd among them
        shelves.discard(partial)
        return
    for path in there:
        if found.get(path) != manifest.files.get(path, ""):
            (files / path).unlink()
