"""Copies a model's files to a folder that somebody named: all of them or none."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from deployments.errors import ArtifactError


def must_be_free(target: Path) -> None:
    """Raises ArtifactError if there is something at `target` that a copy would mix with."""
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() or target.is_symlink():
        raise ArtifactError(f"{target} is there already, and not empty: name a new folder.")


def copy_to(folder: Path, target: Path) -> None:
    """Copies `folder` to `target`, which appears under its name when it is complete.

    Raises:
        ArtifactError: There is something there, or it cannot be written.
    """
    must_be_free(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            copied = Path(scratch) / "files"
            # The cache's files are read-only; a copy is its owner's to change.
            shutil.copytree(folder, copied, copy_function=shutil.copyfile)
            copied.chmod(0o755)
            copied.replace(target)
    except (OSError, shutil.Error) as exc:
        said = getattr(exc, "strerror", None) or str(exc)
        raise ArtifactError(f"The model's files cannot be written to {target}: {said}.") from exc
