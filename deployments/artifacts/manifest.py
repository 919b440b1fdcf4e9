r"""What a model version's files should be: a SHA-256 per file and one digest over them, as `sha256sum` would print it.

Anyone can recompute a digest without this project, in the artifact folder::

    find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deployments.artifacts.hashing import hashes, sizes
from deployments.artifacts.paths import check_paths
from deployments.errors import ArtifactError, DigestMismatch

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_NAMED = 5


@dataclass(frozen=True)
class Manifest:
    """The files of one model version, none of them outside its folder.

    Attributes:
        files: Hex SHA-256 by POSIX path relative to the artifact folder.

    Raises:
        ArtifactError: There is no file at all, or a path leads out of the folder.
    """

    files: Mapping[str, str]

    def __post_init__(self) -> None:
        if not self.files:
            raise ArtifactError("a manifest must name at least one file")
        check_paths(self.files, "the manifest")

    @cached_property
    def text(self) -> str:
        """One line ``<hex>  <path>`` per file, sorted by the paths' bytes."""
        order = sorted(self.files, key=str.encode)
        return "".join(f"{self.files[path]}  {path}\n" for path in order)

    @cached_property
    def digest(self) -> str:
        """``sha256:`` and the hex SHA-256 of `text`."""
        return "sha256:" + hashlib.sha256(self.text.encode()).hexdigest()

    @classmethod
    def parse(cls, text: str) -> Manifest:
        """The manifest that `text` is the text of.

        Raises:
            ArtifactError: A line is not ``<hex>  <path>``, a path is there twice or leads out of the folder.
        """
        lines = text.removesuffix("\n").split("\n")
        found = [_LINE.fullmatch(line) for line in lines]
        pairs = [(match[2], match[1]) for match in found if match]
        if len(pairs) < len(lines):
            bad = next(number for number, match in enumerate(found, 1) if not match)
            raise ArtifactError(f"line {bad} of the manifest is not '<SHA-256 in hex>  <path>'")
        check_paths([path for path, _ in pairs], "the manifest")
        return cls(dict(pairs))


def check_digest(digest: str) -> str:
    """`digest` itself, if it is ``sha256:`` and 64 lower-case hex digits.

    Raises:
        ArtifactError: It is something else.
    """
    if not _DIGEST.fullmatch(digest):
        raise ArtifactError(
            f"a digest is 'sha256:' and 64 hex digits in lower case, not {digest!r}"
        )
    return digest


def manifest_of(folder: Path, *, threads: int | None = None) -> Manifest:
    """What the files in `folder` are.

    Args:
        folder: An artifact folder; every file below it counts, empty folders do not.
        threads: How many files are read at once; one per available core if None.

    Raises:
        ArtifactError: There is no such folder, or no file in it; it cannot be read; or it holds something
            other than plain files and folders.
    """
    found = sizes(folder)
    if not found:
        raise ArtifactError(f"there are no files in the artifact folder {folder}")
    check_paths(found, f"the artifact folder {folder}")
    return Manifest(hashes(folder, found, threads=threads))


def verify(
    folder: Path, digest: str, manifest: Manifest | None = None, *, threads: int | None = None
) -> None:
    """Makes sure that the files in `folder` are those that `digest` stands for, no more and no fewer.

    Raises:
        DigestMismatch: They are not; it names the files if `manifest` is known, else the two digests.
        ArtifactError: The folder cannot be read, or holds something other than plain files and folders.
    """
    check_digest(digest)
    if manifest is None:
        found = manifest_of(folder, threads=threads).digest
        if found != digest:
            raise DigestMismatch(f"the files are {found}, but {digest} was registered")
        return
    check_manifest(manifest, digest)
    there = sizes(folder)
    common = {path: size for path, size in there.items() if path in manifest.files}
    now = hashes(folder, common, threads=threads)
    changed = [path for path in common if now[path] != manifest.files[path]]
    check_names(there, manifest, changed=changed)


def check_manifest(manifest: Manifest, digest: str) -> None:
    """Raises DigestMismatch unless `manifest` is the one that `digest` stands for."""
    if manifest.digest != digest:
        raise DigestMismatch(
            f"the registered manifest has the digest {manifest.digest}, but {digest} is expected: "
            "one of the two was changed after the version was registered"
        )


def check_names(
    there: Mapping[str, object], manifest: Manifest, *, changed: list[str] | None = None
) -> None:
    """Raises DigestMismatch naming what is missing from `there`, is there in addition, or is `changed`."""
    faults = {
        "missing": manifest.files.keys() - there.keys(),
        "not registered": there.keys() - manifest.files.keys(),
        "changed": set(changed or ()),
    }
    said = [f"{what}: {_some(sorted(paths))}" for what, paths in faults.items() if paths]
    if said:
        raise DigestMismatch(f"the files are not those that were registered ({'; '.join(said)})")


def _some(paths: list[str]) -> str:
    more = len(paths) - _NAMED
    return ", ".join(paths[:_NAMED]) + (f" and {more} more" if more > 0 else "")
