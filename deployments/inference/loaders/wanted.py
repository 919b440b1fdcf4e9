"""One model that is to be loaded, as every loader is handed it: where it lies, what it says, and how it is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployments.errors import LoadError
from deployments.inference.loaders.options import LoadOptions
from deployments.inference.mlmodel import Signature


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a loader gets.

    Attributes:
        folder: The artifact's folder.
        flavors: Everything that its `MLmodel` file says, by flavour.
        device: `cpu` or `cuda:0`.
        signature: The declared one, else the artifact's; None where there is neither.
        threads: How many threads one call may use; None leaves it to the framework.
    """

    folder: Path
    flavors: Mapping[str, Mapping[str, Any]]
    device: str = "cpu"
    signature: Signature | None = None
    threads: int | None = None
    options: LoadOptions = field(default_factory=LoadOptions)

    @property
    def method(self) -> str:
        """What the model is asked: as configured, else what it was logged with, else `predict`."""
        logged = self.flavors.get("python_function", {}).get("predict_fn")
        return self.options.method or logged or "predict"

    def path(self, inside: str) -> Path:
        """A file or folder of the artifact.

        Raises:
            LoadError: It lies outside the artifact's folder, or there is none.
        """
        path = self.folder / inside
        # Resolved, since a link may lead out as well as a name with `..` in it.
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise LoadError(
                f"The model in {self.folder} names {inside!r}, which lies outside its own folder."
            )
        if not path.exists():
            raise LoadError(
                f"The model in {self.folder} lacks {inside}: its artifacts are incomplete. "
                "Log and register it anew, or correct the name if a configuration gave it."
            )
        return path
