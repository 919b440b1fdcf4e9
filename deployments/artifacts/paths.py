"""Which relative paths may become files: names come from object stores and registry tags, which nobody here vouches for."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from deployments.errors import ArtifactError


def check_paths(paths: Iterable[str], whose: str) -> None:
    """Refuses paths that lead out of their folder, or cannot all be files side by side.

    Args:
        paths: POSIX paths relative to the artifact folder.
        whose: Where they come from, for the message.

    Raises:
        ArtifactError: One is absolute, has an empty part, ``.`` or ``..``, a backslash, a control
            character or bytes that are no UTF-8; is there twice; or is a file and a folder at once.
    """
    files: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        _check(path, whose)
        if path in files:
            raise ArtifactError(f"{whose} names {path!r} twice")
        files.add(path)
        parts = path.split("/")
        folders.update("/".join(parts[:n]) for n in range(1, len(parts)))
    for path in sorted(files & folders):
        raise ArtifactError(f"{whose} names {path!r} as a file and as a folder")


def _check(path: str, whose: str) -> None:
    fault = None
    if any(part in {"", ".", ".."} for part in path.split("/")):
        fault = "leads out of its folder or has an empty part"
    elif "\\" in path:  # a separator elsewhere, and `sha256sum` escapes it
        fault = "has a backslash"
    elif any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in path):
        fault = "has a control character, or bytes that are no UTF-8"
    if fault:
        raise ArtifactError(f"{whose} names the file {path!r}, which {fault}: nothing is written")
