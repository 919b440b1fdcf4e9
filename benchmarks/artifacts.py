"""Where the registered models' files lie, so that every server loads the very same ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

from environments import ROOT

REGISTRY = ROOT / ".penstock" / "registry.db"
ALIAS = "champion"


class NotRegisteredError(Exception):
    """A model is not in the registry and its script could not put it there."""


def locate(model: str) -> Path:
    """The artifact folder of ``models:/MODEL@champion``; trains and registers the model if need be.

    Raises:
        NotRegisteredError: its script failed.
    """
    folder = _registered(model)
    if folder is None:
        script = ROOT / "models" / f"{model}.py"
        ended = subprocess.run(
            [sys.executable, str(script)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        folder = _registered(model)
        if folder is None:
            said = (ended.stderr or ended.stdout).strip().splitlines()
            raise NotRegisteredError(
                f"{model} is not registered: {said[-1] if said else script.name}"
            )
    return folder


def _registered(model: str) -> Path | None:
    if not REGISTRY.is_file():
        return None
    from mlflow import MlflowClient  # late: two seconds to import
    from mlflow.exceptions import MlflowException

    client = MlflowClient(f"sqlite:///{REGISTRY}", f"sqlite:///{REGISTRY}")
    try:
        version = client.get_model_version_by_alias(model, ALIAS)
        uri = client.get_model_version_download_uri(model, version.version)
    except MlflowException:
        return None
    folder = Path(urlparse(uri).path)
    return folder if folder.is_dir() else None
